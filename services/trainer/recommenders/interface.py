"""What every recommender that is compared offline offers, learned or counted.

Legend: U users asked about, P products of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import Interactions, ItemContent

Report = Callable[[str, int, int], None]
"""Told the step, how much of it is done and how much there is."""


def no_report(step: str, done: int, total: int) -> None:
    """For callers that don't follow progress."""


@runtime_checkable
class Recommender(Protocol):
    """Learns from rows up to a moment, then orders all products for a user at a later one."""

    name: str
    """Names the model in tables; letters, digits and hyphens."""

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        """Learns; what an earlier call learned is forgotten. The same rows give the same model.

        Raises InsufficientData when the rows, or what is known of the products, hold nothing to learn from.
        """
        ...

    def scores(self, users: Ints, now_s: int) -> Floats:
        """Scores of every product `[U, P]`, 32-bit, finite: higher is better, equal is a tie.

        Users are numbers of the rows that were fitted; one without rows, or outside them, gets what suits everybody.
        `now_s` is the moment of the request (seconds since 1970); rows that were fitted lie before it.
        """
        ...
