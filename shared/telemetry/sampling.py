"""Which traces are recorded."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes
from typing_extensions import override

from shared.telemetry.tracing import ALWAYS


def share_of_traces(ratio: float) -> Sampler:
    """The caller's choice where there is one; else a share of the traces, and all rare work."""
    return ParentBased(_Root(ratio))


class _Root(Sampler):
    """For traces that begin in this process."""

    def __init__(self, ratio: float) -> None:
        self._share = TraceIdRatioBased(ratio)

    @override
    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes | None = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        chosen = ALWAYS_ON if attributes and attributes.get(ALWAYS) else self._share
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    @override
    def get_description(self) -> str:
        return f"MercatoRoot{{{self._share.rate}}}"
