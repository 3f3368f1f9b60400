"""What a shop knew at a moment: rows before it, and the tables that a release made then would hold.

Legend: P products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.trainer.domain import Categories, ItemNeighbours, ItemStatistics, Purchases, RenewalTable
from services.trainer.learning.interactions import Interactions
from services.trainer.learning.neighbours import NeighbourConfig, item_neighbours
from services.trainer.learning.renewal import renewal_table
from services.trainer.learning.statistics import item_statistics
from services.trainer.ranker.errors import NothingToRank
from shared.features.columns import Doubles, Mask, Statistics


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """As of `cut_s` (seconds since 1970): nothing at or after it plays a part."""

    cut_s: int
    rows: Interactions
    purchases: Purchases
    categories: Categories
    statistics: ItemStatistics
    renewal: RenewalTable
    neighbours: ItemNeighbours

    @classmethod
    def at(cls, rows: Interactions, categories: Categories, cut_s: int, config: NeighbourConfig) -> Snapshot:
        """Counts the tables. Raises NothingToRank when nothing was bought before the cut."""
        before = rows.before(cut_s)
        purchases = before.purchases()
        if not len(purchases.users):
            raise NothingToRank(f"nothing was bought before {cut_s}")
        return cls(
            cut_s=cut_s,
            rows=before,
            purchases=purchases,
            categories=categories,
            statistics=item_statistics(purchases, categories),
            renewal=renewal_table(purchases),
            neighbours=item_neighbours(purchases, config, lambda done, total: None),
        )

    @cached_property
    def met(self) -> Mask:
        """Products that anybody did anything with: a release would know them `[P]`."""
        return np.bincount(self.rows.products, minlength=len(self.rows.product_ids)) > 0

    @cached_property
    def leaf_sizes(self) -> Doubles:
        """Demand by leaf, as in `Statistics.leaf_sizes`."""
        leaves = self.categories.leaf_indexes[self.met]
        demand = self.statistics.buyers[56][self.met] + 0.5
        return np.bincount(leaves, demand, minlength=len(self.categories.leaves)).astype(np.float64)

    @cached_property
    def feature_statistics(self) -> Statistics:
        """As ranking holds them; items are numbered as products are."""
        found, sizes = self.statistics, self.leaf_sizes
        return Statistics(
            release_id=f"as of {self.cut_s}",
            positions={name: place for place, name in enumerate(self.rows.product_ids)},
            buyers_7d=found.buyers[7].astype(np.float64),
            buyers_28d=found.buyers[28].astype(np.float64),
            buyers_56d=found.buyers[56].astype(np.float64),
            buyers_112d=found.buyers[112].astype(np.float64),
            repeat_interval_days=found.repeat_interval_days.astype(np.float64),
            repurchase_probabilities=found.repurchase_probabilities.astype(np.float64),
            leaf_sizes=dict(zip(self.categories.leaves, sizes.tolist(), strict=True)),
            leaf_total=float(sizes.sum()),
            user_count=self.purchases.user_count,
            renewal=self.renewal.probabilities.astype(np.float64),
            renewal_count_edges=self.renewal.count_edges.astype(np.float64),
            renewal_day_edges=self.renewal.day_edges.astype(np.float64),
        )
