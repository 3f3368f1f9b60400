"""What orders earn: by probability, by expected revenue, half way between, and by probability × price, which needs no
head for amounts.

Legend: N examples.
"""

from __future__ import annotations

import numpy as np

from services.trainer.domain import Metric
from services.trainer.ranker.data_set import RankerData
from services.trainer.ranker.fit import Evidence
from services.trainer.ranker.validate import person_ndcg, person_revenue
from shared.evaluation.intervals import Interval, bootstrap, paired_difference
from shared.features.columns import Doubles

BY_PROBABILITY, BY_REVENUE, BY_PRICE = "by probability", "by expected revenue", "by probability × price"
HALF_WAY = "revenue weight 0.5"
REVENUE, REVENUE_GAIN, NDCG_GAIN = "revenue@10", "revenue@10 against by probability", "ndcg@10 against by probability"
SLICES = {"all products": False, "new to the person": True}
"""By name, whether only products count that are new to the person."""


def earned(evidence: Evidence) -> list[Metric]:
    """What the first ten of each order earn, and what orders by revenue gain and lose, in pairs of a person each.

    Nothing where no amounts were learnt.
    """
    if evidence.amounts is None:
        return []
    data, found = evidence.data, []
    orders = orders_of(data, evidence.scores, evidence.amounts)
    for name, only_new in SLICES.items():
        paid = {order: person_revenue(data, values, only_new)[1] for order, values in orders.items()}
        hits = {order: person_ndcg(data, values, only_new)[1] for order, values in orders.items()}
        count = len(paid[BY_PROBABILITY])
        if not count:
            continue
        found += [_metric(REVENUE, name, order, bootstrap(values), count) for order, values in paid.items()]
        for measure, values in ((REVENUE_GAIN, paid), (NDCG_GAIN, hits)):
            for order in (HALF_WAY, BY_REVENUE, BY_PRICE):
                difference = paired_difference(values[order], values[BY_PROBABILITY])
                found.append(_metric(measure, name, order, difference, count))
    return found


def _metric(measure: str, slice_: str, order: str, interval: Interval, count: int) -> Metric:
    return Metric(measure, slice_, order, interval.mean, interval.low, interval.high, count)


def orders_of(data: RankerData, scores: Doubles, amounts: Doubles) -> dict[str, Doubles]:
    """Scores `[N]` of each order."""
    return {
        BY_PROBABILITY: scores,
        HALF_WAY: scores * np.sqrt(amounts),
        BY_REVENUE: scores * amounts,
        BY_PRICE: scores * prices_of(data),
    }


def prices_of(data: RankerData) -> Doubles:
    """Prices `[N]`; the median of all where one is not known, 1 where none is."""
    if "price" not in data.names:
        return np.ones(len(data))
    prices = np.expm1(data.features[:, data.names.index("price")].astype(np.float64))
    known = prices > 0.0
    return np.where(known, prices, np.median(prices[known]) if known.any() else 1.0)
