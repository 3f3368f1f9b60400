"""Calibrates confidence: `python -m services.support.calibrate [--questions FILE] [--output FILE]`.

Asks labelled questions against the documents that are loaded, fits a logistic regression from evidence to "the first
citation is of the right document" (Platt 1999), and chooses the lowest threshold at which, in leave-one-out
prediction, at most one answer in twenty is wrong. A question is a line of JSON: {"question": …, "document_id": …}, the
document null where the right answer is none. Needs PostgreSQL, encoder and retrieval: those of the suite that runs on
`--data`, else the addresses that the service itself uses. Point MERCATO_SUPPORT_CALIBRATION at what `--output` wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.support.adapters.encoder import RemoteEncoder
from services.support.adapters.postgres import PostgresDocuments
from services.support.adapters.quoting import QuotingAnswerer
from services.support.adapters.retrieval import RemotePassageIndex
from services.support.ask import Ask, AskPolicy
from services.support.domain import Calibration
from services.support.settings import SupportSettings
from shared.client.channel import open_channel
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.postgres.pool import open_pool

QUESTIONS = Path(__file__).parent / "calibration" / "questions.jsonl"
WRONG_ANSWERS_ALLOWED = 0.05
RIDGE = 0.05

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One question, what speaks for its answer, and whether the answer would be right."""

    question: str
    evidence: tuple[float, float, float]
    right: bool
    answerable: bool


def fit(features: Array, right: Array, *, steps: int = 50) -> tuple[Array, float]:
    """Logistic regression by Newton's method with a small ridge; features `[N, 3]`, labels `[N]` of 0 and 1."""
    with_bias = np.hstack([features, np.ones((len(features), 1))])
    penalty = np.diag([RIDGE] * features.shape[1] + [0.0])
    weights = np.zeros(with_bias.shape[1])
    for _ in range(steps):
        probability = 1.0 / (1.0 + np.exp(-with_bias @ weights))
        gradient = with_bias.T @ (probability - right) + penalty @ weights
        curvature = (with_bias.T * (probability * (1.0 - probability))) @ with_bias + penalty
        weights -= np.linalg.solve(curvature + 1e-9 * np.eye(len(weights)), gradient)
    return weights[:-1], float(weights[-1])


def left_out(features: Array, right: Array) -> Array:
    """Confidence of each sample by the model that is fitted without it `[N]`."""
    confidences = np.empty(len(features))
    for index in range(len(features)):
        others = np.arange(len(features)) != index
        weights, bias = fit(features[others], right[others])
        confidences[index] = 1.0 / (1.0 + np.exp(-(features[index] @ weights + bias)))
    return confidences


def choose_threshold(confidences: Array, right: Array) -> float:
    """The lowest threshold at which at most one given answer in twenty is wrong; 1 when there is none."""
    for threshold in np.unique(confidences):
        answered = confidences >= threshold
        if np.mean(right[answered] == 0) <= WRONG_ANSWERS_ALLOWED:
            return float(threshold)
    return 1.0


def read_questions(path: Path) -> list[tuple[str, str | None]]:
    """Labelled questions. Raises ValueError naming the line."""
    questions: list[tuple[str, str | None]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            questions.append((str(item["question"]), item["document_id"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: needs question and document_id ({error})") from error
    if not questions:
        raise ValueError(f"{path} holds no questions")
    return questions


async def collect(settings: SupportSettings, tenant: str, questions: Sequence[tuple[str, str | None]]) -> list[Sample]:
    """Asks every labelled question. Raises Unavailable."""
    never = Calibration((0.0, 0.0, 0.0), 0.0, 0.0)
    async with (
        open_pool(settings.postgres_dsn, application_name="mercato-calibrate") as pool,
        open_channel(settings.encoder_address, service="encoder") as encoder_channel,
        open_channel(settings.retrieval_address, service="retrieval") as retrieval_channel,
    ):
        documents = PostgresDocuments(pool, settings.passage_words)
        encoder, index = RemoteEncoder(encoder_channel), RemotePassageIndex(retrieval_channel)
        policy = AskPolicy(never, settings.handover, settings.passages_searched)
        ask = Ask(documents, encoder, index, QuotingAnswerer(encoder), policy)
        return [await _sample(ask, tenant, question, document_id) for question, document_id in questions]


async def _sample(ask: Ask, tenant: str, question: str, document_id: str | None) -> Sample:
    quotes, evidence = await ask.evidence(tenant, question, 3)
    right = bool(quotes) and quotes[0].passage.document_id == document_id
    values = (evidence.passage_cosine, evidence.sentence_cosine, evidence.word_coverage)
    return Sample(question, values, right, document_id is not None)


def calibrate(samples: list[Sample]) -> dict[str, object]:
    """Fits, chooses the threshold and reports in the form of `calibration.json`."""
    features = np.array([sample.evidence for sample in samples])
    right = np.array([sample.right for sample in samples], dtype=np.float64)
    answerable = np.array([sample.answerable for sample in samples])
    confidences = left_out(features, right)
    threshold = choose_threshold(confidences, right)
    answered = confidences >= threshold
    weights, bias = fit(features, right)
    return {
        "weights": [round(float(weight), 4) for weight in weights],
        "bias": round(bias, 4),
        "threshold": round(threshold, 4),
        "measured": {
            "questions": len(samples),
            "answerable": int(answerable.sum()),
            "first_citation_right": round(float(right[answerable].mean()), 3),
            "answered_of_answerable": round(float(answered[answerable].mean()), 3),
            "right_of_answered": round(float(right[answered].mean()), 3) if answered.any() else 0.0,
            "refused_of_unanswerable": round(float(1.0 - answered[~answerable].mean()), 3),
            "method": "leave one out",
        },
    }


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Calibrate when the support service answers.")
    parser.add_argument("--tenant", default="default")
    parser.add_argument("--questions", type=Path, default=QUESTIONS, help="labelled questions; default: the demo's")
    parser.add_argument("--output", type=Path, help="where the calibration is written; default: only shown")
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="data folder of the running suite; default ./data"
    )
    arguments = parser.parse_args()
    found = arguments.data / "run" / "environment"
    settings = SupportSettings(_env_file=found if found.exists() else None)
    try:
        questions = read_questions(arguments.questions)
        with use_tenant(arguments.tenant):
            samples = asyncio.run(collect(settings, arguments.tenant, questions))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"calibrate: {error}\n")
        return 1
    except MercatoError as error:
        sys.stderr.write(f"calibrate: {error}; start the suite first (`mercato up --demo`)\n")
        return 1
    result = calibrate(samples)
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
