"""Where traces go: an OTLP collector over gRPC, named by the standard variables of OpenTelemetry."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.telemetry import tracing
from shared.telemetry.logs import logger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_SECONDS = 3.0
"""How long the end of a process waits for the collector."""

_log = logger("tracing")


class TracingSettings(BaseSettings):
    """Read from the environment, the same for all processes. Off without an endpoint.

    Headers, certificates, compression and time limits of the exporter, batches, and `OTEL_RESOURCE_ATTRIBUTES` are
    those of the OpenTelemetry SDK. `OTEL_TRACES_SAMPLER` replaces the sampling described here.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    endpoint: str = Field("", validation_alias=AliasChoices(
        "MERCATO_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))  # fmt: skip
    """Collector's OTLP/gRPC address, `http://host:4317` or `https://host:4317`; empty: no traces."""
    ratio: float = Field(0.01, ge=0, le=1, validation_alias=AliasChoices(
        "MERCATO_TRACES_RATIO", "OTEL_TRACES_SAMPLER_ARG"))  # fmt: skip
    """Share of the requests that are recorded; a request is recorded in every service or in none."""
    trust_callers: bool = Field(False, validation_alias="MERCATO_TRACES_TRUST_CALLERS")
    """Whether the gateway records what its callers record; otherwise it goes on with their trace by its own dice."""
    exporter: Literal["otlp", "none"] = Field("otlp", validation_alias="OTEL_TRACES_EXPORTER")
    """`none` turns traces off."""
    disabled: bool = Field(False, validation_alias="OTEL_SDK_DISABLED")
    """Turns traces off."""

    @property
    def on(self) -> bool:
        """Whether anything is traced."""
        return bool(self.endpoint) and self.exporter == "otlp" and not self.disabled


@contextmanager
def exporting(service: str, settings: TracingSettings | None = None) -> Iterator[None]:
    """Traces of this process go to the collector inside the block. Once a process; nothing where it is off.

    A collector that is away costs no request anything: what does not fit into the queue is dropped.
    """
    settings = settings or TracingSettings()
    if not settings.on:
        yield
        return
    provider = _provider(service, settings)
    _log.info("tracing", ratio=settings.ratio)
    try:
        yield
    finally:
        ending = threading.Thread(target=provider.shutdown, name="flush traces", daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)


def _provider(service: str, settings: TracingSettings) -> TracerProvider:
    # Imported here: processes that trace nothing need not pay for it.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from shared.telemetry.sampling import share_of_traces

    provider = TracerProvider(
        sampler=None if os.environ.get("OTEL_TRACES_SAMPLER") else share_of_traces(settings.ratio),
        resource=Resource.create(
            {"service.namespace": "mercato", "service.name": f"mercato-{service}", "service.version": _version()}
        ),
        span_limits=SpanLimits(max_span_attributes=32, max_events=64, max_span_attribute_length=256),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.endpoint)))
    trace.set_tracer_provider(provider)
    tracing.set_ratio(settings.ratio)
    return provider


def _version() -> str:
    try:
        return version("mercato")
    except PackageNotFoundError:
        return "unknown"
