"""`python -m services.trainer.benchmarks.continual`: weekly learning on the demo's last weeks, simulated.

Every week the behaviour model is asked for what households will buy for the first time within the next seven days.
Three ways to keep it: *frozen* (learnt before the first week), *full* (learnt anew every week), *incremental* (goes on
from last week's model for a quarter of the time, old sequences mixed with the new ones). The old slice are households
that bought nothing in the week before: what an update does not see, it must not forget.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer

from services.trainer.behaviour.presets import DEMO
from services.trainer.behaviour.recommender import BehaviourRecommender
from services.trainer.benchmarks import demo
from services.trainer.benchmarks.log import Log
from services.trainer.benchmarks.measuring import measured, rank
from services.trainer.benchmarks.protocols import temporal
from services.trainer.benchmarks.task import Task, only_new
from services.trainer.benchmarks.texts import text_encoder
from services.trainer.learning.pairs import DAY_S
from shared.evaluation.intervals import bootstrap
from shared.features.columns import Mask

WEEK_DAYS = 7.0
SHARE = 0.25
"""Of the time of a whole training that an incremental one takes."""
MEASURE = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One way in one week."""

    week: int
    way: str
    value: float
    low: float
    high: float
    old_slice: float
    seconds: float


def steps(log: Log, weeks: int, seconds: float, folder: Path) -> Iterator[Step]:
    """Measures week by week."""
    frozen: BehaviourRecommender | None = None
    for week in range(weeks):
        cut_s = log.rows.end_time_s + 1 - round((weeks - week) * WEEK_DAYS * DAY_S)
        task = only_new(temporal(log, WEEK_DAYS, cut_s))
        old = _quiet(task)
        ways: dict[str, tuple[BehaviourRecommender, float]] = {}
        ways["full"] = _fitted(task, seconds, None)
        if frozen is None:
            frozen = ways["full"][0]
            frozen.save(folder / "0")
            ways["incremental"] = ways["full"]
        else:
            ways["incremental"] = _fitted(task, seconds * SHARE, folder / str(week - 1))
            ways["incremental"][0].save(folder / str(week))
        for way, (model, spent) in ways.items():
            yield _step(week, way, model, (task, old), spent)
        yield _step(week, "frozen", _as_of(frozen, folder / "0", task), (task, old), 0.0)


def _fitted(task: Task, seconds: float, previous: Path | None) -> tuple[BehaviourRecommender, float]:
    began, config = time.perf_counter(), replace(DEMO, seconds=seconds)
    if previous is not None:
        known_s = task.now_s - round(WEEK_DAYS * DAY_S)
        config = replace(config, windows=replace(config.windows, replay_before_s=known_s))
    model = BehaviourRecommender(config, previous=previous)
    model.fit(task.rows, task.content, lambda step, done, total: None)
    return model, time.perf_counter() - began


def _as_of(model: BehaviourRecommender, folder: Path, task: Task) -> BehaviourRecommender:
    """The frozen model with what households did since: weights as they were, sequences of today."""
    frozen = BehaviourRecommender(replace(DEMO, seconds=0.0), previous=folder)
    frozen.fit(task.rows, task.content, lambda step, done, total: None)
    return frozen


def _step(week: int, way: str, model: BehaviourRecommender, asked: tuple[Task, Mask], spent: float) -> Step:
    task, old = asked
    values = measured(rank(model, task, lambda step, done, total: None), task)[MEASURE]
    interval = bootstrap(values)
    return Step(
        week=week + 1,
        way=way,
        value=interval.mean,
        low=interval.low,
        high=interval.high,
        old_slice=float(values[old].mean()) if old.any() else 0.0,
        seconds=spent,
    )


def _quiet(task: Task) -> Mask:
    """Users asked about without rows in the week before the moment `[U]`."""
    recent = np.unique(task.rows.users[task.rows.times_s >= task.now_s - WEEK_DAYS * DAY_S])
    return ~np.isin(task.users, recent)


def simulate(
    weeks: Annotated[int, typer.Option(min=1, max=12)] = 4,
    seconds: Annotated[float, typer.Option(min=1.0, help="Of a whole training.")] = 120.0,
    json: Annotated[Path | None, typer.Option(help="Writes figures here.")] = None,
) -> None:
    """Four weeks of learning on the demo's purchases; prints a line a week and way."""
    typer.echo(f"week way          {MEASURE} of first purchases (95 %)   old slice  seconds")
    found: list[Mapping[str, object]] = []
    log, _ = demo.load(demo.data_folder(), text_encoder("lsa"))
    with tempfile.TemporaryDirectory(prefix="mercato-continual-") as folder:
        for step in steps(log, weeks, seconds, Path(folder)):
            interval = f"{step.value:.4f} ({step.low:.4f} to {step.high:.4f})"
            typer.echo(f"{step.week:>4} {step.way:<12} {interval:<34} {step.old_slice:.4f}     {step.seconds:7.1f}")
            found.append({name: getattr(step, name) for name in Step.__dataclass_fields__})
    if json is not None:
        json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(simulate)
