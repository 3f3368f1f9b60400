"""Runs models on tasks, each fit in a process of its own: its peak memory is then that of the model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from services.trainer.benchmarks.measuring import Run, run
from services.trainer.benchmarks.models import build
from services.trainer.benchmarks.results import TaskResult, conclude
from services.trainer.benchmarks.task import Task
from services.trainer.recommenders.interface import Report, no_report
from services.trainer.recommenders.registry import Setup


def compare_models(
    tasks: Sequence[Task], models: Sequence[str], seeds: Sequence[int], baseline: str, report: Report
) -> list[TaskResult]:
    """Measures every model on every task with every seed; tasks that share their rows share a fit.

    Raises what a model raises. The baseline must be one of the models.
    """
    groups = _sharing_rows(tasks)
    runs: list[dict[str, dict[int, Run]]] = [{name: {} for name in models} for _ in tasks]
    total, done = len(groups) * len(models) * len(seeds), 0
    for group in groups:
        for name in models:
            for seed in seeds:
                report(f"{tasks[group[0]].name}: {name}, seed {seed}", done, total)
                for place, measured in zip(group, _apart(name, seed, [tasks[at] for at in group]), strict=True):
                    runs[place][name][seed] = measured
                done += 1
    report("measured", done, total)
    return [conclude(task, found, baseline) for task, found in zip(tasks, runs, strict=True)]


def fit_and_measure(name: str, seed: int, tasks: Sequence[Task]) -> list[Run]:
    """One fit in this process."""
    content = tasks[0].content
    setup = Setup(
        seed=seed,
        horizon_days=tasks[0].horizon_days,
        described=content is not None and len(content.categories.leaves) > 1,
        texts=content is not None and content.text_vectors.shape[1] > 0,
    )
    return run(build(name, setup), tasks, no_report)


def _apart(name: str, seed: int, tasks: Sequence[Task]) -> list[Run]:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(fit_and_measure, name, seed, tasks).result()


def _sharing_rows(tasks: Sequence[Task]) -> list[list[int]]:
    """Places of the tasks, those with the same rows together."""
    groups: dict[int, list[int]] = {}
    for place, task in enumerate(tasks):
        groups.setdefault(id(task.rows), []).append(place)
    return list(groups.values())
