"""What callers saw: one line for every request that was answered, or was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import grpc
from mercato.gateway.v1 import recommendation_pb2

REFUSALS = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED})
"""Codes that say: nothing was done, come again."""


class Outcome(StrEnum):
    """How a request ended."""

    FULL = "full"
    DEGRADED = "degraded"
    """Answered, and the answer names what was missing."""
    REFUSED = "refused"
    LATE = "late"
    """No answer before the caller's deadline."""
    FAILED = "failed"
    """Any other code: a defect."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request. Times in seconds, `began` on the monotonic clock."""

    kind: str
    began: float
    seconds: float
    outcome: Outcome
    detail: tuple[str, ...] = ()
    """The missing stages, or the code and message of the error."""


def of_stages(missing: Iterable[recommendation_pb2.MissingStage]) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome of an answer with stages."""
    names = tuple(sorted(recommendation_pb2.Stage.Name(one.stage).removeprefix("STAGE_").lower() for one in missing))
    return (Outcome.DEGRADED if names else Outcome.FULL), names


def of_error(error: grpc.aio.AioRpcError) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome of a call that raised."""
    detail = (error.code().name, (error.details() or "")[:200])
    if error.code() in REFUSALS:
        return Outcome.REFUSED, detail
    return (Outcome.LATE if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else Outcome.FAILED), detail


@dataclass(frozen=True, slots=True)
class Summary:
    """Answers of one kind, or of several together."""

    full: int
    degraded: int
    missing: dict[str, int]
    refused: dict[str, int]
    late: int
    failed: dict[str, int]
    longest_seconds: float


def summarize(answers: Sequence[Answer]) -> Summary:
    """Counts by outcome; refusals and failures by code."""
    by = Counter(answer.outcome for answer in answers)

    def codes(outcome: Outcome, whole: bool = False) -> dict[str, int]:
        found = (answer.detail for answer in answers if answer.outcome is outcome)
        return dict(Counter(": ".join(detail) if whole else detail[0] for detail in found).most_common())

    degraded = (name for answer in answers if answer.outcome is Outcome.DEGRADED for name in answer.detail)
    return Summary(
        full=by[Outcome.FULL],
        degraded=by[Outcome.DEGRADED],
        missing=dict(Counter(degraded).most_common()),
        refused=codes(Outcome.REFUSED),
        late=by[Outcome.LATE],
        failed=codes(Outcome.FAILED, whole=True),
        longest_seconds=max((answer.seconds for answer in answers), default=0.0),
    )
