"""Examples whose outcomes follow a rule, without a shop behind them."""

import numpy as np

from services.trainer.ranker.data_set import UNKNOWN, RankerData

NAMES = ("known", "popularity_28", "activity")


def examples(persons=60, each=40, seed=0, shown=False, place_effect=0.0, paid=False):
    """A purchase is likelier the higher popularity_28 is, and for known products; activity says nothing.

    `shown`: half of the examples were shown; then a click follows popularity_28, and `place_effect` by place.
    `paid`: a purchase costs exp(1 + activity / 2) on average, spread so that the mean logarithm is much lower.
    """
    random = np.random.default_rng(seed)
    count = persons * each
    features = random.normal(size=(count, len(NAMES))).astype(np.float32)
    features[:, 0] = random.random(count) < 0.5
    odds = 2.0 * features[:, 1] + features[:, 0] - 2.0
    labels = np.full((count, 3), UNKNOWN, np.int8)
    labels[:, 0] = random.random(count) < chance(odds)
    positions = np.full(count, UNKNOWN, np.int32)
    if shown:
        seen = random.random(count) < 0.5
        positions[seen] = random.integers(0, 20, int(seen.sum()))
        odds = 1.0 * features[:, 1] - place_effect * positions
        labels[seen, 1] = (random.random(count) < chance(odds))[seen]
    amounts = np.full(count, np.nan, np.float32)
    if paid:
        spent = random.gamma(0.7, mean_amount(features) / 0.7)
        amounts = np.where(labels[:, 0] > 0, spent, np.nan).astype(np.float32)
    owners = np.repeat(np.arange(persons), each)
    bought = labels[:, 0] > 0
    return RankerData(
        names=NAMES,
        features=features,
        persons=owners,
        products=np.tile(np.arange(each, dtype=np.int32), persons),
        labels=labels,
        positions=positions,
        amounts=amounts,
        users=np.arange(persons, dtype=np.int32),
        wanted=np.bincount(owners[bought], minlength=persons),
        wanted_new=np.bincount(owners[bought & (features[:, 0] < 0.5)], minlength=persons),
    )


def mean_amount(features):
    return np.exp(1.0 + 0.5 * features[:, 2].astype(np.float64))


def chance(odds):
    return 1.0 / (1.0 + np.exp(-odds))
