"""What people paid for a product in an event, as far as anything says what it cost.

The price in the event itself counts; else the one that any event named last for the product, which is what it cost
then; else the catalogue's of today, which keeps no past. Amounts are outcomes: no feature is made of them.

Legend: N rows of the log, P products.
"""

from __future__ import annotations

import numpy as np

from services.trainer.datasets.events import EventLog
from services.trainer.domain import Floats, Longs
from services.trainer.learning.interactions import UNKNOWN_AMOUNT, EventKind

MICROS = 1_000_000


def amounts_of(log: EventLog, catalogue: Floats) -> Longs:
    """Units × price of purchases, millionths of the shop's currency `[N]`; -1: no purchase, or no price is known.

    `catalogue` holds prices in units of the currency `[P]`, 0: not known.
    """
    bought = np.flatnonzero(log.kinds == EventKind.PURCHASE)
    prices = log.unit_price_micros[bought]
    for fallback in (_last_prices(log, bought), _catalogue_prices(log, bought, catalogue)):
        prices = np.where(prices < 0, fallback, prices)
    amounts = np.full(len(log), UNKNOWN_AMOUNT, np.int64)
    units = np.maximum(log.quantities[bought].astype(np.int64), 1)
    amounts[bought] = np.where(prices < 0, UNKNOWN_AMOUNT, prices * units)
    return amounts


def _last_prices(log: EventLog, rows: Longs) -> Longs:
    """The latest price of the rows' products at their times, of any event; -1: none until then."""
    start_s = int(log.times_s.min()) if len(log) else 0
    span = int(log.times_s.max()) - start_s + 1 if len(log) else 1
    keys = log.products.astype(np.int64) * span + (log.times_s - start_s)
    priced = np.flatnonzero(log.unit_price_micros >= 0)
    if not len(priced):
        return np.full(len(rows), UNKNOWN_AMOUNT, np.int64)
    priced = priced[np.argsort(keys[priced], kind="stable")]
    places = np.maximum(np.searchsorted(keys[priced], keys[rows], side="right") - 1, 0)
    last = priced[places]
    found = (log.products[last] == log.products[rows]) & (keys[last] <= keys[rows])
    return np.where(found, log.unit_price_micros[last], UNKNOWN_AMOUNT)


def _catalogue_prices(log: EventLog, rows: Longs, catalogue: Floats) -> Longs:
    micros = np.rint(catalogue.astype(np.float64) * MICROS).astype(np.int64)[log.products[rows]]
    return np.where(micros > 0, micros, UNKNOWN_AMOUNT)
