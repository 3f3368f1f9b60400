"""Impressions joined to what followed from them.

A row is a product that an answer showed. The attribution token joins: an event that carries the token of an answer,
with a product that stood in its list, belongs to that product's row. Events may come late, twice, or without the
impression itself.

Legend: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.trainer.datasets.events import EventLog
from services.trainer.domain import Ints, Longs
from services.trainer.learning.interactions import EventKind, Kinds

Flags = npt.NDArray[np.bool_]

DAY_S = 86_400
PER_ROW = (
    "requests", "users", "products", "positions", "times_s", "devices", "releases", "list_kinds",
    "shown", "clicked", "carted", "purchased", "revenue_micros",
)  # fmt: skip
"""Columns of `Impressions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpressionConfig:
    """What counts as an outcome."""

    window_s: int = 7 * DAY_S
    """An outcome counts when it comes less than this after the product was shown."""
    click_kinds: tuple[EventKind, ...] = (EventKind.CLICK, EventKind.PRODUCT_VIEW)
    """A product page opened with the token is a click that the shop didn't report as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impressions:
    """Columns `[N]`, sorted by request, then position. Users and products are numbered as in the log."""

    requests: Ints
    """Number of the answer; rows of one list share it."""
    users: Ints
    products: Ints
    positions: Ints
    """In the list, from 0."""
    times_s: Longs
    """When it was shown: the first impression, else the answer itself."""
    devices: Kinds
    """`mercato.gateway.v1.DeviceType`."""
    releases: Ints
    """Position in `release_ids`."""
    list_kinds: Ints
    """Position in `list_kind_names`."""
    shown: Flags
    """Whether an impression proves it; else an outcome does: other products of that list are not known to be seen."""
    clicked: Flags
    carted: Flags
    purchased: Flags
    revenue_micros: Longs
    """Of purchases within the window, as far as prices are known."""
    release_ids: tuple[str, ...]
    list_kind_names: tuple[str, ...]
    window_s: int
    end_time_s: int
    """The latest event of the log."""

    def __len__(self) -> int:
        return len(self.requests)

    def where(self, mask: Flags) -> Impressions:
        """The rows that the mask keeps; numbers stay."""
        return replace(self, **{name: getattr(self, name)[mask] for name in PER_ROW})

    def before(self, cut_s: int) -> Impressions:
        """Rows whose window had ended at a moment: what was known then. Also see `complete`."""
        return self.where(self.times_s + self.window_s <= cut_s)

    def between(self, start_s: int, end_s: int) -> Impressions:
        """Rows shown at or after `start_s` and before `end_s`."""
        return self.where((self.times_s >= start_s) & (self.times_s < end_s))

    def complete(self) -> Impressions:
        """Rows whose window ended with the log or before: what has not happened to others may still happen."""
        return self.before(self.end_time_s)


def join_outcomes(log: EventLog, config: ImpressionConfig) -> Impressions:
    """The rows that events with a token prove, with what followed from each.

    Purchases of a product by the same person without the token are nobody's outcome: the token is the only witness.
    """
    witnesses = (EventKind.IMPRESSION, *config.click_kinds, EventKind.ADD_TO_CART, EventKind.PURCHASE)
    rows = np.flatnonzero((log.request_indexes >= 0) & (log.positions >= 0) & np.isin(log.kinds, witnesses))
    keys = log.request_indexes[rows].astype(np.int64) * max(len(log.product_ids), 1) + log.products[rows]
    order = np.lexsort((log.events[rows], log.times_s[rows], keys))
    rows = rows[order]
    _, first, pairs = np.unique(keys[order], return_index=True, return_inverse=True)
    answer_times_s = np.array([request.time_s for request in log.requests], dtype=np.int64)
    times_s, shown = _show_times(log, rows, pairs, answer_times_s[log.request_indexes[rows[first]]])
    counted = log.times_s[rows] < times_s[pairs] + config.window_s
    flags = {
        "clicked": _any(pairs, counted & np.isin(log.kinds[rows], config.click_kinds), len(first)),
        "carted": _any(pairs, counted & (log.kinds[rows] == EventKind.ADD_TO_CART), len(first)),
        "purchased": _any(pairs, counted & (log.kinds[rows] == EventKind.PURCHASE), len(first)),
    }
    releases, release_ids = _numbered([request.release_id for request in log.requests])
    list_kinds, list_kind_names = _numbered([request.list_kind for request in log.requests])
    head = rows[first]
    requests = log.request_indexes[head]
    joined = Impressions(
        requests=requests,
        users=log.users[head],
        products=log.products[head],
        positions=log.positions[head],
        times_s=times_s,
        devices=log.devices[head],
        releases=releases[requests],
        list_kinds=list_kinds[requests],
        shown=shown,
        revenue_micros=_revenue(log, rows, pairs, counted, len(first)),
        release_ids=release_ids,
        list_kind_names=list_kind_names,
        window_s=config.window_s,
        end_time_s=int(log.times_s.max()) if len(log) else 0,
        **flags,
    )
    by_position = np.lexsort((joined.products, joined.positions, joined.requests))
    return replace(joined, **{name: getattr(joined, name)[by_position] for name in PER_ROW})


def _show_times(log: EventLog, rows: Longs, pairs: Longs, answer_times_s: Longs) -> tuple[Longs, Flags]:
    """When each pair was shown, and whether an impression says so."""
    impressions = log.kinds[rows] == EventKind.IMPRESSION
    shown = _any(pairs, impressions, len(answer_times_s))
    times_s = np.where(shown, np.iinfo(np.int64).max, answer_times_s)
    np.minimum.at(times_s, pairs[impressions], log.times_s[rows[impressions]])
    return times_s, shown


def _any(pairs: Longs, mask: Flags, count: int) -> Flags:
    """Whether any row of each pair is in the mask."""
    found = np.zeros(count, dtype=np.bool_)
    found[pairs[mask]] = True
    return found


def _revenue(log: EventLog, rows: Longs, pairs: Longs, counted: Flags, count: int) -> Longs:
    """Units × price of the purchases of each pair."""
    bought = counted & (log.kinds[rows] == EventKind.PURCHASE) & (log.unit_price_micros[rows] >= 0)
    money = np.zeros(count, dtype=np.int64)
    np.add.at(money, pairs[bought], log.unit_price_micros[rows[bought]] * log.quantities[rows[bought]])
    return money


def _numbered(names: list[str]) -> tuple[Ints, tuple[str, ...]]:
    """The number of each name, and the names sorted."""
    distinct = tuple(sorted(set(names)))
    places = {name: place for place, name in enumerate(distinct)}
    return np.array([places[name] for name in names], dtype=np.int32), distinct
