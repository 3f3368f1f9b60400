"""The tables of a release."""

from __future__ import annotations

from services.trainer.datasets.events import Report
from services.trainer.domain import Categories, Purchases, Tables
from services.trainer.learning.neighbours import NeighbourConfig, item_neighbours
from services.trainer.learning.renewal import renewal_table
from services.trainer.learning.statistics import item_statistics


def compute_tables(purchases: Purchases, categories: Categories, config: NeighbourConfig, report: Report) -> Tables:
    """Everything that is counted rather than learnt; the latest purchase counts as now."""
    report("computing item statistics", 0, 0)
    statistics = item_statistics(purchases, categories)
    renewal = renewal_table(purchases)
    neighbours = item_neighbours(
        purchases, config, lambda done, total: report("computing item neighbours", done, total)
    )
    return Tables(
        purchases.product_ids,
        purchases.user_count,
        purchases.end_time_s,
        categories,
        statistics,
        renewal,
        neighbours,
    )
