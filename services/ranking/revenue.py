"""Orders by what is earned: the score becomes ln P + w · ln a of a candidate that is bought with probability P for a.

With the weight w = 1 that is the logarithm of expected revenue; between 0 and 1 revenue and purchases are traded off.

Legend: C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.features.blend import Scored
from shared.features.columns import Candidates, Doubles

AMOUNT = "amount"
"""The contribution's name."""
NO_HEAD, NO_PRICE = "no amounts are foretold: the price stands in", "no amounts are foretold and no price is known"


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a person spends on each candidate, if they buy it, in units of the shop's currency `[C]`."""

    values: Doubles
    cause: str = ""
    """Why these are not the ranker's amounts. Empty: they are."""


def amounts_of(candidates: Candidates, foretold: Doubles | None) -> Amounts:
    """The ranker's amounts; else prices, the median for those not known; else all the same."""
    if foretold is not None:
        return Amounts(foretold)
    prices = candidates.prices if candidates.prices is not None else np.zeros(len(candidates.product_ids))
    known = prices > 0.0
    if not known.any():
        return Amounts(np.ones(len(prices)), NO_PRICE)
    return Amounts(np.where(known, prices, np.median(prices[known])), NO_HEAD)


def weighted(scored: Scored, amounts: Amounts, weight: float) -> Scored:
    """Takes log-odds for the scores' meaning; the amount's contribution is against the candidates' median."""
    logs = weight * np.log(amounts.values)
    shown = np.isfinite(scored.scores)
    usual = float(np.median(logs[shown])) if shown.any() else 0.0
    return Scored(
        columns=scored.columns,
        scores=logs - np.logaddexp(0.0, -scored.scores),
        values={**scored.values, AMOUNT: amounts.values},
        contributions={**scored.contributions, AMOUNT: logs - usual},
    )
