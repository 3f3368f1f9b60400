"""Answers one question from passages, or says that it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from services.support.domain import Answer, Calibration, Evidence, Outcome, Quote, word_coverage
from services.support.ports import Answerer, DocumentRepository, PassageIndex, TextEncoder


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
        """Answers `question`. Raises Unavailable, DeadlineExceeded."""
        quotes, evidence = await self.evidence(tenant, question, max_citations)
        calibration = self._policy.calibration
        confidence = calibration.confidence(evidence) if quotes else 0.0
        if confidence < calibration.threshold:
            return Answer(Outcome.UNANSWERED, confidence, calibration.threshold, handover=self._policy.handover)
        return Answer(Outcome.ANSWERED, confidence, calibration.threshold, tuple(quotes))

    async def evidence(self, tenant: str, question: str, max_citations: int) -> tuple[list[Quote], Evidence]:
        """Returns the quotes that an answer would have and what speaks for them; calibration learns from it."""
        encoded = await self._encoder.encode([question])
        hits = await self._index.search(question, encoded, self._policy.passages_searched)
        found = await self._repository.passages(tenant, hits)
        if not found:
            return [], Evidence(0.0, 0.0, 0.0)
        quotes, sentence_cosine = await self._answerer.compose(question, found, max_citations)
        best = max(item.cosine for item in found)
        coverage = word_coverage(question, [item.passage.searchable for item in found[:3]])
        return quotes, Evidence(best, sentence_cosine, coverage)
