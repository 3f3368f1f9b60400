"""What people did after an experiment showed them a list.

A person is exposed by the first list whose token names a variant and that an event proves to have been shown; the
moment is that of the answer. What they do in the outcome window after it counts: clicks of such lists, and everything
they buy. People who saw two variants are left out.

Legend: N people, in the order in which they were exposed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.trainer.datasets.events import EventChunk
from services.trainer.experiments.domain import Experiment
from services.trainer.learning.interactions import EventKind

KINDS = (EventKind.IMPRESSION, EventKind.PRODUCT_VIEW, EventKind.CLICK, EventKind.ADD_TO_CART, EventKind.PURCHASE)
CLICKS = (EventKind.PRODUCT_VIEW, EventKind.CLICK)
MICROS = 1_000_000
Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What was counted, by person `[N]` and by variant."""

    variants: Longs
    """Place of each person's variant in the experiment."""
    complete: Flags
    """Whether the person's window is over."""
    clicked: Flags
    bought: Flags
    spent: Doubles
    """Units of the currency."""
    impressions: tuple[int, ...]
    clicks: tuple[int, ...]
    mixed: int
    currency: str
    unpriced: int
    """Purchased products without a price in the currency."""


@dataclass(slots=True)
class _Person:
    """One person so far. Times are seconds since 1970."""

    exposed_s: int
    variants: set[int]
    clicks: list[int] = field(default_factory=list)


class OutcomeCounter:
    """Takes events in any order; keeps what people who were shown something did, and all purchases by person."""

    def __init__(self, experiment: Experiment, start_s: int, stop_s: int | None) -> None:
        self._experiment = experiment
        self._places = {variant.variant_id: place for place, variant in enumerate(experiment.variants)}
        self._start_s, self._stop_s = start_s, stop_s
        self._people: dict[bytes, _Person] = {}
        self._bought: dict[bytes, list[tuple[int, int, str]]] = {}
        self._impressions = [0] * len(experiment.variants)
        self._clicks = [0] * len(experiment.variants)

    def add(self, chunk: EventChunk) -> None:
        """Takes one chunk."""
        places = np.array([*(self._place(exposures.exposures, exposures.time_s) for exposures in chunk.requests), -1])
        variants = places[chunk.request_indexes]  # row -1: no token
        for row in np.flatnonzero((variants >= 0) & (chunk.positions >= 0)).tolist():
            self._shown(chunk, row, int(variants[row]))
        for row in np.flatnonzero(chunk.kinds == EventKind.PURCHASE).tolist():
            self._purchase(chunk, row)

    def _place(self, exposures: tuple[tuple[str, str], ...], time_s: int) -> int:
        """Place of the variant that made an answer; -1: none did, or not while the experiment ran."""
        if time_s < self._start_s or (self._stop_s is not None and time_s > self._stop_s):
            return -1
        for experiment_id, variant_id in exposures:
            if experiment_id == self._experiment.experiment_id:
                return self._places.get(variant_id, -1)
        return -1

    def _shown(self, chunk: EventChunk, row: int, variant: int) -> None:
        key, kind = chunk.user_keys[chunk.users[row]], chunk.kinds[row]
        answered_s = chunk.requests[chunk.request_indexes[row]].time_s
        person = self._people.get(key)
        if person is None:
            person = self._people[key] = _Person(answered_s, {variant})
        person.exposed_s = min(person.exposed_s, answered_s)
        person.variants.add(variant)
        if kind == EventKind.IMPRESSION:
            self._impressions[variant] += 1
        elif kind in CLICKS:
            self._clicks[variant] += 1
            person.clicks.append(int(chunk.times_s[row]))

    def _purchase(self, chunk: EventChunk, row: int) -> None:
        micros, currency = int(chunk.unit_price_micros[row]), int(chunk.currency_indexes[row])
        name = chunk.currencies[currency] if currency >= 0 and micros >= 0 else ""
        amount = micros * max(int(chunk.quantities[row]), 1)
        bought = self._bought.setdefault(chunk.user_keys[chunk.users[row]], [])
        bought.append((int(chunk.times_s[row]), amount, name))

    def finish(self, now_s: float) -> Outcomes:
        """Everything as it is at a moment."""
        window_s, cap = self._experiment.outcome_window_s, self._experiment.revenue_cap
        single = [(one.exposed_s, key) for key, one in self._people.items() if len(one.variants) == 1]
        keys = [key for _, key in sorted(single)]
        currency = cap.currency if cap is not None else self._main_currency(keys)
        clicked, bought, spent, unpriced = [], [], [], 0
        for key in keys:
            start, end = self._people[key].exposed_s, self._people[key].exposed_s + window_s
            within = [one for one in self._bought.get(key, ()) if start <= one[0] < end]
            clicked.append(any(start <= time_s < end for time_s in self._people[key].clicks))
            bought.append(bool(within))
            spent.append(sum(amount for _, amount, name in within if name and name == currency) / MICROS)
            unpriced += sum(not name or name != currency for _, _, name in within)
        exposed = np.array([self._people[key].exposed_s for key in keys], np.float64)
        return Outcomes(
            variants=np.array([next(iter(self._people[key].variants)) for key in keys], np.int64),
            complete=exposed + window_s <= now_s,
            clicked=np.array(clicked, np.bool_),
            bought=np.array(bought, np.bool_),
            spent=np.array(spent, np.float64),
            impressions=tuple(self._impressions),
            clicks=tuple(self._clicks),
            mixed=len(self._people) - len(keys),
            currency=currency,
            unpriced=unpriced,
        )

    def _main_currency(self, keys: list[bytes]) -> str:
        """That of most priced purchases of those people; of equals the first by name. Empty: no price is known."""
        counts = Counter(name for key in keys for _, _, name in self._bought.get(key, ()) if name)
        return min(counts, key=lambda name: (-counts[name], name)) if counts else ""
