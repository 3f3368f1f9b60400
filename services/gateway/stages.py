"""Stages of an answer: each has a share of the time, and may fail without failing the answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mercato.gateway.v1 import recommendation_pb2

from shared.client.failures import remote_errors
from shared.context.request import use_deadline
from shared.errors.base import Cancelled, DeadlineExceeded, InvalidArgument, MercatoError, Unavailable
from shared.telemetry import tracing
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter, histogram
from shared.telemetry.tracing import child_span

T = TypeVar("T")
Stage = recommendation_pb2.Stage
Substitute = recommendation_pb2.Substitute

_log = logger("stages")
_missing = counter("gateway_missing_stages_total", "Stages left out of an answer.", ["stage"])
STAND_INS = counter(
    "gateway_stand_ins_total", "Answers in which something stood in for a missing stage.", ["substitute"]
)
STALE = histogram(
    "gateway_stale_age_seconds",
    "Age of what was remembered, where it stood in for a missing stage.",
    ["substitute"],
    (1, 10, 60, 300, 900, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600),
)
_seconds = histogram("gateway_stage_seconds", "Time of a stage as the gateway sees it.", ["stage"])


class Stages:
    """Runs stages and remembers those that were missing."""

    def __init__(self) -> None:
        self.missing: list[recommendation_pb2.MissingStage] = []

    async def run(self, stage: Stage.ValueType, seconds: float, start: Callable[[], Awaitable[T]]) -> T | None:
        """The stage's result, or None when it failed.

        The caller's cancellation goes through, and so does InvalidArgument: that is the caller's mistake. `start` makes
        the call, so that the call sees the stage's deadline.
        """
        name = Stage.Name(stage).removeprefix("STAGE_").lower()
        began = time.perf_counter()
        try:
            with use_deadline(seconds), remote_errors(name), child_span(f"stage {name}"):
                return await start()
        except (Cancelled, InvalidArgument):
            raise
        except MercatoError as error:
            self.note(stage, _cause(error))
            if not isinstance(error, Unavailable | DeadlineExceeded):
                _log.error("stage failed", stage=name, error=str(error), reason=error.reason)
            return None
        finally:
            _seconds.labels(name).observe(time.perf_counter() - began)

    def note(self, stage: Stage.ValueType, cause: str) -> None:
        """Says that a stage is missing."""
        if all(item.stage != stage for item in self.missing):
            name = Stage.Name(stage).removeprefix("STAGE_").lower()
            _missing.labels(name).inc()
            tracing.note("stage missing", {"stage": name, "cause": cause})
            self.missing.append(recommendation_pb2.MissingStage(stage=stage, cause=cause))

    def stand_in(self, stage: Stage.ValueType, substitute: Substitute.ValueType, age_s: float | None = None) -> None:
        """Says what stood in for a missing stage, and how old it was. Of the same stage the oldest counts."""
        name = Substitute.Name(substitute).removeprefix("SUBSTITUTE_").lower()
        for item in self.missing:
            if item.stage != stage:
                continue
            if item.substitute != substitute:
                STAND_INS.labels(name).inc()
                item.substitute = substitute
            if age_s is not None:
                STALE.labels(name).observe(age_s)
                item.age.FromNanoseconds(max(item.age.ToNanoseconds(), round(age_s * 1e9)))


def _cause(error: MercatoError) -> str:
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    if isinstance(error, Unavailable):
        return f"{error.dependency} unavailable"
    return str(error.reason).lower()
