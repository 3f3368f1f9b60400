"""The gate: whether what was learnt may replace what serves, measured on the latest days, which neither had seen.

People are the unit: nDCG@10 of each person on the same candidates, compared in pairs (bootstrap over persons, 95 %).
A release passes when it is better on one gate slice outside the interval and worse on none by more than its budget,
when no guarded slice falls by more than its budget, when its probabilities mean what they say and when it is quick.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from services.trainer.datasets.store import DataSet
from services.trainer.domain import Floats, Gate, Metric
from services.trainer.job.encoded import EncodedBehaviour
from services.trainer.ranker.data_set import DataConfig, RankerData, ranker_data
from services.trainer.ranker.export import DESCRIPTION, GRAPH, run_graph
from services.trainer.ranker.fit import Evidence, RankerResult
from services.trainer.ranker.validate import blend_scores, person_ndcg
from shared.evaluation.intervals import Interval, bootstrap, paired_difference
from shared.features.columns import Doubles, Mask

NDCG, ECE = "ndcg@10", "calibration error"
ALL, NEW, LIGHT, HEAVY = "all products", "new to the person", "light users", "heavy users"
RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """Budgets; differences are of nDCG@10."""

    slice_budget: float = 0.002
    """A gate slice (all, new) may be worse by this much, if the other is better."""
    guarded_budget: float = 0.01
    """A guarded slice (light and heavy users) may be worse by this much."""
    largest_calibration_error: float = 0.02
    largest_latency_ms: float = 25.0
    """Median time to score 600 candidates on one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Scores of one model on its own candidates of the same people and moment."""

    name: str
    data: RankerData
    scores: Doubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the new ranker beside its order."""

    calibration_error: float
    latency_ms: float


def judge(ranker: RankerResult, current: Contender, config: GateConfig) -> tuple[Gate, list[Metric]]:
    """Compares a ranker with what serves."""
    evidence = ranker.evidence
    release = Contender(name=RELEASE, data=evidence.data, scores=evidence.scores)
    facts = Facts(
        calibration_error=ranker.description.metrics["ece_purchase"],
        latency_ms=latency_of(ranker.graph, evidence.data.features[:, : len(ranker.description.features)]),
    )
    return judged(release, current, facts, config)


def serving(current: Path, evidence: Evidence, data: DataSet, threads: int) -> Contender:
    """What serves now, asked about the same people at the same moment: the blend where `current` has no ranker.

    The current release may have learnt from what came after the moment; that is to its advantage, not to the new one's.
    """
    if not (current / GRAPH).exists():
        return Contender(name="the blend", data=evidence.data, scores=blend_scores(evidence.data))
    description = json.loads((current / DESCRIPTION).read_text(encoding="utf-8"))
    assert data.content is not None
    behaviour = None
    if EncodedBehaviour.is_in(current):
        behaviour = EncodedBehaviour(current, data.interactions, data.content, threads).at
    examples = ranker_data(
        data.interactions, data.content, evidence.moment_s, DataConfig(), data.impressions, behaviour
    )
    columns = [examples.names.index(name) for name in description["features"]]
    scores = run_graph((current / GRAPH).read_bytes(), np.ascontiguousarray(examples.features[:, columns]))
    return Contender(
        name="the current release", data=examples, scores=scores @ np.array(description["weights"], dtype=np.float64)
    )


def measured(contender: Contender) -> list[Metric]:
    """nDCG@10 of all slices with intervals."""
    found = []
    for name, values in _slices(contender).items():
        interval = bootstrap(values)
        found.append(Metric(NDCG, name, contender.name, interval.mean, interval.low, interval.high, len(values)))
    return found


def judged(release: Contender, current: Contender, facts: Facts, config: GateConfig) -> tuple[Gate, list[Metric]]:
    """The verdict, each check in words, and the measures of both."""
    ours, theirs = _slices(release), _slices(current)
    differences = {name: paired_difference(ours[name], theirs[name]) for name in ours}
    checks, sound = [], True
    for name in (ALL, NEW):
        verdict = _verdict(differences[name], config.slice_budget)
        sound &= verdict != "worse"
        checks.append(f"{NDCG} {name}: {_words(differences[name])} against {current.name}: {verdict}")
    better = any(differences[name].low > 0.0 for name in (ALL, NEW))
    for name in (LIGHT, HEAVY):
        kept = differences[name].mean >= -config.guarded_budget
        sound &= kept
        words = "within its budget" if kept else f"worse by more than {config.guarded_budget}"
        checks.append(f"{NDCG} {name}: {_words(differences[name])}: {words}")
    error = facts.calibration_error
    calibrated, quick = error <= config.largest_calibration_error, facts.latency_ms <= config.largest_latency_ms
    checks.append(f"{ECE} {error:.4f}, at most {config.largest_calibration_error}: {_yes(calibrated)}")
    checks.append(f"600 candidates in {facts.latency_ms:.1f} ms, at most {config.largest_latency_ms}: {_yes(quick)}")
    if not better:
        checks.append(f"not better than {current.name} outside the interval: refused")
    metrics = [
        *measured(release),
        *measured(current),
        Metric(ECE, ALL, RELEASE, error, error, error, len(release.data.users)),
    ]
    return Gate(better and sound and calibrated and quick, tuple(checks)), metrics


def latency_of(graph: bytes, features: Floats, rows: int = 600, times: int = 21) -> float:
    """Median milliseconds of one run with `rows` candidates on one thread."""
    options, taken = ort.SessionOptions(), []
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    part = np.ascontiguousarray(features[:rows], dtype=np.float32)
    for _ in range(times):
        began = time.perf_counter()
        session.run(None, {"features": part})
        taken.append(time.perf_counter() - began)
    return float(np.median(taken)) * 1e3


def _slices(contender: Contender) -> dict[str, Doubles]:
    """nDCG@10 by person, by slice; light users have fewer candidates of their own than the median."""
    persons, values = person_ndcg(contender.data, contender.scores, only_new=False)
    heavy = _heavy(contender.data)[persons]
    _, new = person_ndcg(contender.data, contender.scores, only_new=True)
    return {ALL: values, NEW: new, LIGHT: values[~heavy], HEAVY: values[heavy]}


def _heavy(data: RankerData) -> Mask:
    bought = np.bincount(data.persons[data.known], minlength=len(data.users))
    return np.asarray(bought >= np.median(bought))


def _verdict(difference: Interval, budget: float) -> str:
    if difference.low > 0.0:
        return "better"
    return "worse" if difference.mean < -budget else "as good"


def _words(difference: Interval) -> str:
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _yes(kept: bool) -> str:
    return "kept" if kept else "broken"
