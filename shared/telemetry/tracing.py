"""Traces (OpenTelemetry): off unless a collector is named; then a share of requests, each through all of its hops.

A span holds names that stand in the code: rpcs, statements, operations, models, stages, codes. Never ids of people or
products, queries, parameters, or messages of errors.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

import grpc
from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from shared.errors.base import MercatoError

TRACEPARENT, TRACE_ID_METADATA = "traceparent", "x-trace-id"
"""W3C Trace Context, and the trailing metadata by which a client learns the id of its trace."""
ALWAYS = "mercato.always"
"""Attribute of work so rare that each is traced."""
Attributes: TypeAlias = Mapping[str, str | int | float | bool]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_tracer = trace.get_tracer("mercato")
"""Does nothing until a provider is set."""
_NOTHING = nullcontext(trace.INVALID_SPAN)
"""Of the requests that are not recorded, which are nearly all: must cost nothing."""


def child_span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None
) -> AbstractContextManager[Span]:
    """A span inside the current one; nothing where that is not recorded. An error is noted by its code alone."""
    return _span(name, kind, attributes) if trace.get_current_span().is_recording() else _NOTHING


def client_span(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """A call of another system."""
    return child_span(name, SpanKind.CLIENT, attributes)


@contextmanager
def work_span(name: str, attributes: Attributes | None = None, *, always: bool = False) -> Iterator[Span]:
    """Work beside the requests: a trace of its own. ``always``: it is rare, so every one is recorded."""
    marked = {**(attributes or {}), ALWAYS: True} if always else attributes
    with _span(name, SpanKind.INTERNAL, marked, Context()) as span:
        yield span


@contextmanager
def server_span(name: str, traceparent: str, attributes: Attributes, *, trusting: bool) -> Iterator[Span]:
    """A served call; goes on with the caller's trace, and with its choice of what is recorded where that is trusted.

    Set as current for the rest of the task, so that also what is logged last has its id.
    """
    parent = parse_traceparent(traceparent)
    if parent is not None and not trusting:
        parent = _undecided(parent)
    if parent is not None and not parent.trace_flags.sampled:
        passing = NonRecordingSpan(parent)  # nothing will be recorded: spares the making of a span of our own
        attach(trace.set_span_in_context(passing, Context()))
        yield passing
        return
    context = trace.set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()
    span = _tracer.start_span(name, context, SpanKind.SERVER, attributes)
    attach(trace.set_span_in_context(span))
    try:
        yield span
    finally:
        span.end()


def note(event: str, attributes: Attributes) -> None:
    """Adds an event to the current span."""
    span = trace.get_current_span()
    if span.is_recording():
        span.add_event(event, attributes)


def current_trace_id() -> str:
    """32 hexadecimal digits, also of a trace that is not recorded; empty outside any."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def current_traceparent() -> str:
    """The header for a call made now; empty where nothing is recorded, which spares the next hop to look."""
    span = trace.get_current_span()
    if not span.is_recording():
        return ""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def context_of_trace() -> Context:
    """The current trace alone, for work that outlives the request that began it."""
    return trace.set_span_in_context(trace.get_current_span(), Context())


def parse_traceparent(value: str) -> SpanContext | None:
    """None for what is no valid header."""
    found = _TRACEPARENT.fullmatch(value)
    if found is None or value.startswith("ff"):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace_id, span_id, True, TraceFlags(flags & TraceFlags.SAMPLED), TraceState())
    return context if context.is_valid else None


_ratio = 0.0


def set_ratio(ratio: float) -> None:
    """The share of traces begun by callers that are not trusted to choose."""
    global _ratio  # noqa: PLW0603 - set once, with the provider
    _ratio = ratio


def _undecided(parent: SpanContext) -> SpanContext:
    """The caller's trace by our own dice: whoever chooses ids or flags must not choose what we record."""
    flags = TraceFlags.SAMPLED if random.random() < _ratio else TraceFlags.DEFAULT  # noqa: S311 - no secret
    return SpanContext(parent.trace_id, parent.span_id, True, TraceFlags(flags), parent.trace_state)


@contextmanager
def _span(name: str, kind: SpanKind, attributes: Attributes | None, context: Context | None = None) -> Iterator[Span]:
    with _tracer.start_as_current_span(
        name, context, kind, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_status(StatusCode.ERROR, describe(error))
            raise


def describe(error: BaseException) -> str:
    """What went wrong, in a word of the code."""
    if isinstance(error, MercatoError):
        return error.reason.value
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code().name
    return type(error).__name__
