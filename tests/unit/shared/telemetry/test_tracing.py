"""Spans, sampling, and what goes from hop to hop."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.gateway.stages import Stage, Stages
from shared.errors.base import NotFound, Unavailable
from shared.errors.mapping import to_status
from shared.telemetry import tracing
from shared.telemetry.exporting import TracingSettings, exporting
from shared.telemetry.sampling import share_of_traces
from shared.telemetry.tracing import (
    child_span,
    client_span,
    current_trace_id,
    current_traceparent,
    parse_traceparent,
    server_span,
    work_span,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def sampled(flag: str = "01") -> str:
    return f"00-{TRACE}-{SPAN}-{flag}"


@pytest.fixture
def recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is exported while the share of traces is that of the parameter."""
    ratio, exporter = getattr(request, "param", 1.0), InMemorySpanExporter()
    provider = TracerProvider(sampler=share_of_traces(ratio))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(tracing, "_ratio", ratio)
    token = attach(Context())
    yield exporter
    detach(token)


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


def test_a_call_goes_on_with_the_trace_of_its_caller(recorded: InMemorySpanExporter) -> None:
    with server_span("rpc", sampled(), {}, trusting=True), client_span("next", {}):
        header = current_traceparent()
    assert header.split("-")[1] == TRACE
    assert header.endswith("-01")
    server = next(span for span in recorded.get_finished_spans() if span.name == "rpc")
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == SPAN


@pytest.mark.parametrize("recorded", [0.0], indirect=True)
def test_what_is_not_recorded_keeps_its_id_and_does_not_trouble_the_next_hop(recorded: InMemorySpanExporter) -> None:
    with server_span("rpc", sampled("00"), {}, trusting=True), child_span("inside"):
        assert current_trace_id() == TRACE
        assert not current_traceparent()
    assert not names(recorded)


@pytest.mark.parametrize("recorded", [0.0], indirect=True)
def test_a_caller_that_is_not_trusted_cannot_choose_to_be_recorded(recorded: InMemorySpanExporter) -> None:
    with server_span("rpc", sampled("01"), {}, trusting=False):
        assert current_trace_id() == TRACE
    assert not names(recorded)


def test_a_caller_that_is_not_trusted_cannot_choose_not_to_be_recorded(recorded: InMemorySpanExporter) -> None:
    with server_span("rpc", sampled("00"), {}, trusting=False):
        pass
    assert names(recorded) == ["rpc"]


@pytest.mark.parametrize("recorded", [0.1], indirect=True)
def test_the_share_of_recorded_traces_is_the_one_that_was_set(recorded: InMemorySpanExporter) -> None:
    random.seed(7)
    for _ in range(2000):
        with server_span("rpc", "", {}, trusting=True):
            pass
    assert 140 < len(names(recorded)) < 260  # 200 ± 4 standard deviations


@pytest.mark.parametrize("recorded", [0.0], indirect=True)
def test_rare_work_is_always_recorded(recorded: InMemorySpanExporter) -> None:
    with work_span("common"):
        pass
    with work_span("training", {"kind": "full"}, always=True), child_span("inside"):
        pass
    assert names(recorded) == ["inside", "training"]


def test_an_error_is_noted_by_its_reason_without_its_message(recorded: InMemorySpanExporter) -> None:
    with pytest.raises(NotFound), server_span("rpc", "", {}, trusting=True), child_span("read"):
        raise NotFound("product", "secret-id")
    span = next(span for span in recorded.get_finished_spans() if span.name == "read")
    assert span.status.status_code is StatusCode.ERROR
    assert not span.events
    assert "secret-id" not in span.to_json()


@pytest.mark.parametrize(
    "header",
    ["", "00", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n",
     f"00-{TRACE.upper()}-{SPAN}-01", "00-user-order-01", "x" * 10_000],
)  # fmt: skip
def test_a_broken_header_begins_a_new_trace(recorded: InMemorySpanExporter, header: str) -> None:
    assert parse_traceparent(header) is None
    with server_span("rpc", header, {}, trusting=True):
        assert current_trace_id() not in ("", TRACE)


def test_a_later_version_of_the_header_is_understood() -> None:
    context = parse_traceparent(f"01-{TRACE}-{SPAN}-03-more")
    assert context is not None
    assert context.trace_flags == 1


async def test_a_missing_stage_is_an_event_of_the_request(recorded: InMemorySpanExporter) -> None:
    async def fails() -> None:
        raise Unavailable("triton")

    with server_span("rpc", "", {}, trusting=True):
        await Stages().run(Stage.STAGE_RANKING, 1.0, fails)
    by_name = {span.name: span for span in recorded.get_finished_spans()}
    assert by_name["stage ranking"].status.status_code is StatusCode.ERROR
    assert [event.name for event in by_name["rpc"].events] == ["stage missing"]
    assert dict(by_name["rpc"].events[0].attributes or {}) == {"stage": "ranking", "cause": "triton unavailable"}


def test_nothing_is_traced_unless_a_collector_is_named() -> None:
    assert not TracingSettings(endpoint="").on
    assert not TracingSettings(endpoint="http://127.0.0.1:4317", exporter="none").on
    assert not TracingSettings(endpoint="http://127.0.0.1:4317", disabled=True).on
    before = trace.get_tracer_provider()
    with exporting("test", TracingSettings(endpoint="")):
        assert trace.get_tracer_provider() is before


def test_settings_come_from_the_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    settings = TracingSettings()
    assert settings.on
    assert settings.ratio == 0.25
    monkeypatch.setenv("MERCATO_TRACES_RATIO", "0.5")
    assert TracingSettings().ratio == 0.5


def test_an_error_status_names_the_trace() -> None:
    status = to_status(NotFound("product", "p1"), trace_id=TRACE)
    assert any(TRACE.encode() in value for _, value in status.trailing_metadata or () if isinstance(value, bytes))
