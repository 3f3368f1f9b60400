"""How likely a product that a person bought before is bought again within four weeks."""

from __future__ import annotations

import numpy as np

from services.trainer.domain import Purchases, RenewalTable
from services.trainer.learning.pairs import ages_days, pair_keys, pairs_before

HORIZON_DAYS = 28.0
WINDOWS_DAYS_AGO = (28.0, 56.0, 84.0)
# A cell with few pairs is pulled towards the overall rate by this many pairs.
PRIOR_PAIRS = 20.0
# Upper edges; cells hold about equal numbers of pairs on the demo.
COUNT_EDGES = np.array([0.1, 0.2, 0.3, 0.42, 0.55, 0.7, 0.85, 1.0, 1.3, 1.7, 2.3, 3.2, 4.5, 7.0], dtype=np.float32)
DAY_EDGES = np.array([1.5, 3, 5, 8, 12, 16, 22, 29, 38, 50, 70, 95, 130, 180, 250], dtype=np.float32)


def renewal_table(purchases: Purchases) -> RenewalTable:
    """Counts which pairs were bought again in the windows that began 28, 56 and 84 days ago.

    Each cell is (again + 20 g) / (pairs + 20), with g the overall rate; without any pairs every cell is 0.01.
    """
    shape = (len(COUNT_EDGES) + 1, len(DAY_EDGES) + 1)
    again, seen = np.zeros(shape), np.zeros(shape)
    ages, keys = ages_days(purchases), pair_keys(purchases)
    for days_ago in WINDOWS_DAYS_AGO:
        pairs = pairs_before(purchases, days_ago)
        bought = np.isin(pairs.keys, np.unique(keys[(ages <= days_ago) & (ages > days_ago - HORIZON_DAYS)]))
        cells = (np.searchsorted(COUNT_EDGES, pairs.decayed_counts), np.searchsorted(DAY_EDGES, pairs.last_days))
        np.add.at(again, cells, bought)
        np.add.at(seen, cells, 1.0)
    rate = (again.sum() + 0.01) / (seen.sum() + 1.0)
    probabilities = (again + PRIOR_PAIRS * rate) / (seen + PRIOR_PAIRS)
    return RenewalTable(np.clip(probabilities, 1e-4, 1 - 1e-4).astype(np.float32), COUNT_EDGES, DAY_EDGES)
