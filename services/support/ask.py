"""Answers one question from passages, or says that it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.support.domain import Answer, Calibration, Evidence, Missing, Outcome, Part, Quote, word_coverage
from services.support.ports import Answerer, DocumentRepository, PassageIndex, TextEncoder
from shared.context.request import use_deadline
from shared.errors.base import DeadlineExceeded, Unavailable
from shared.telemetry.metrics import counter

HANDED_OVER = counter(
    "support_handed_over_total", "Questions handed over to a person because something was out of reach.", ("part",)
)


PART_SECONDS = 3.0
"""Longest wait for one part: an answer that hands over to a person must come while they still wait."""


class OutOfReach(Unavailable):
    """A part cannot be reached."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(missing.part.value)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class AskPolicy:
    """Limits of an answer."""

    calibration: Calibration
    handover: str
    passages_searched: int


class Ask:
    """Searches, quotes, and compares the confidence with the calibrated threshold."""

    def __init__(
        self,
        repository: DocumentRepository,
        encoder: TextEncoder,
        index: PassageIndex,
        answerer: Answerer,
        policy: AskPolicy,
    ) -> None:
        self._repository = repository
        self._encoder = encoder
        self._index = index
        self._answerer = answerer
        self._policy = policy

    async def __call__(self, tenant: str, question: str, max_citations: int) -> Answer:
        """Answers `question`; hands over to a person where it cannot, also when something is out of reach."""
        calibration = self._policy.calibration
        try:
            quotes, evidence = await self.evidence(tenant, question, max_citations)
        except OutOfReach as away:
            HANDED_OVER.labels(away.missing.part.value).inc()
            return Answer(
                Outcome.UNANSWERED,
                0.0,
                calibration.threshold,
                handover=self._policy.handover,
                missing=away.missing,
            )
        confidence = calibration.confidence(evidence) if quotes else 0.0
        if confidence < calibration.threshold:
            return Answer(Outcome.UNANSWERED, confidence, calibration.threshold, handover=self._policy.handover)
        return Answer(Outcome.ANSWERED, confidence, calibration.threshold, tuple(quotes))

    async def evidence(self, tenant: str, question: str, max_citations: int) -> tuple[list[Quote], Evidence]:
        """Returns the quotes that an answer would have and what speaks for them; calibration learns from it.

        Raises OutOfReach.
        """
        async with _reaching(Part.ENCODER):
            encoded = await self._encoder.encode([question])
        async with _reaching(Part.INDEX):
            hits = await self._index.search(question, encoded, self._policy.passages_searched)
        async with _reaching(Part.DOCUMENTS):
            found = await self._repository.passages(tenant, hits)
        if not found:
            return [], Evidence(0.0, 0.0, 0.0)
        async with _reaching(Part.ENCODER):
            quotes, sentence_cosine = await self._answerer.compose(question, found, max_citations)
        best = max(item.cosine for item in found)
        coverage = word_coverage(question, [item.passage.searchable for item in found[:3]])
        return quotes, Evidence(best, sentence_cosine, coverage)


@asynccontextmanager
async def _reaching(part: Part) -> AsyncIterator[None]:
    """Says which part was out of reach. Raises OutOfReach."""
    try:
        with use_deadline(PART_SECONDS):
            async with asyncio.timeout(PART_SECONDS):
                yield
    except Unavailable as error:
        raise OutOfReach(Missing(part, f"{error.dependency} unavailable")) from error
    except (DeadlineExceeded, TimeoutError) as error:
        raise OutOfReach(Missing(part, "deadline")) from error
