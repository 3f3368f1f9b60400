"""Tasks of a data set by the names of their protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.trainer.benchmarks import amazon, demo, frame, ml1m
from services.trainer.benchmarks.errors import BadChoice
from services.trainer.benchmarks.protocols import cold, last_out, temporal
from services.trainer.benchmarks.task import Task, only_new
from services.trainer.benchmarks.texts import text_encoder

COLD_SHARE, COLD_SEED = 0.2, 0
PROTOCOLS: Final = ("all", "new", "cold")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the command was asked for."""

    data: str
    path: Path | None
    protocols: tuple[str, ...] = ("all",)
    days: float = 0.0
    """frame: what is foretold; 0: the last event of each user."""
    text: str = "none"


def make_tasks(choice: Choice) -> list[Task]:
    """Reads and cuts. Raises BadChoice or BadData."""
    if choice.data not in SETS:
        raise BadChoice("data", choice.data, f"must be one of {', '.join(SETS)}")
    if not choice.protocols or set(choice.protocols) - set(PROTOCOLS):
        raise BadChoice("protocols", ",".join(choice.protocols), f"must be some of {', '.join(PROTOCOLS)}")
    base = SETS[choice.data](choice)
    made: dict[str, Callable[[], Task]] = {
        "all": lambda: base,
        "new": lambda: only_new(base),
        "cold": lambda: cold(base, COLD_SHARE, COLD_SEED),
    }
    return [made[protocol]() for protocol in choice.protocols]


def _needed(choice: Choice) -> Path:
    if choice.path is None:
        raise BadChoice("path", "", f"{choice.data} needs --path")
    return choice.path


def _demo(choice: Choice) -> Task:
    log, cut_s = demo.load(choice.path or demo.data_folder(), text_encoder(choice.text))
    return temporal(log, demo.TEST_DAYS, cut_s)


def _frame(choice: Choice) -> Task:
    log = frame.load(_needed(choice))
    return temporal(log, choice.days) if choice.days > 0 else last_out(log)


SETS: Final[dict[str, Callable[[Choice], Task]]] = {
    "ml1m": lambda choice: ml1m.load(_needed(choice)),
    "amazon": lambda choice: last_out(amazon.load(_needed(choice), text_encoder(choice.text))),
    "demo": _demo,
    "frame": _frame,
}
