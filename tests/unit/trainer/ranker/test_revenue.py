"""What orders earn, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.ranker.amounts import revenue_calibration
from services.trainer.ranker.fit import Evidence
from services.trainer.ranker.revenue import (
    BY_PRICE,
    BY_PROBABILITY,
    BY_REVENUE,
    REVENUE,
    REVENUE_GAIN,
    earned,
    prices_of,
)
from services.trainer.ranker.validate import person_revenue
from tests.unit.trainer.ranker.examples import examples, mean_amount


def test_revenue_is_what_was_paid_for_the_first_ten():
    data = examples(persons=2, each=20, paid=True)
    scores = -np.tile(np.arange(20.0), 2)
    asked, found = person_revenue(data, scores, only_new=False)
    by_hand = np.nan_to_num(data.amounts).reshape(2, 20)[:, :10].sum(axis=1)
    np.testing.assert_allclose(found, by_hand[asked], rtol=1e-6)
    new, of_new = person_revenue(data, scores, only_new=True)
    rows = [np.flatnonzero((data.persons == person) & ~data.known)[:10] for person in new]
    np.testing.assert_allclose(of_new, [np.nansum(data.amounts[row]) for row in rows], rtol=1e-6)


def test_an_order_by_revenue_earns_more_and_price_alone_less():
    data = examples(persons=300, each=60, paid=True)
    chances = 1.0 / (1.0 + np.exp(-(2.0 * data.features[:, 1] + data.features[:, 0] - 2.0)))
    evidence = Evidence(moment_s=0, data=data, scores=chances, amounts=mean_amount(data.features))
    found = {(one.name, one.slice, one.model): one for one in earned(evidence)}
    assert earned(replace(evidence, amounts=None)) == []
    best = found[REVENUE, "all products", BY_REVENUE]
    assert best.value > found[REVENUE, "all products", BY_PROBABILITY].value
    gain = found[REVENUE_GAIN, "all products", BY_REVENUE]
    assert 0.0 < gain.low < gain.value < gain.high
    # No price is among these features: then the order is that by probability.
    assert found[REVENUE_GAIN, "all products", BY_PRICE].value == 0.0
    assert {one.slice for one in found.values()} == {"all products", "new to the person"}


def test_prices_come_from_their_feature():
    data = examples(persons=1, each=4)
    priced = replace(data, names=("known", "price", "activity"))
    priced.features[:, 1] = np.log1p([2.0, 0.0, 4.0, 9.0])
    np.testing.assert_allclose(prices_of(priced), [2.0, 4.0, 4.0, 9.0], rtol=1e-5)


def test_calibration_is_the_ratio_of_sums():
    data = examples(persons=300, each=60, paid=True)
    amounts = mean_amount(data.features)
    chances = 1.0 / (1.0 + np.exp(-(2.0 * data.features[:, 1] + data.features[:, 0] - 2.0)))
    found = revenue_calibration(data, chances[:, None], amounts)
    assert found["amounts_foretold_to_paid"] == pytest.approx(1.0, abs=0.06)
    assert found["revenue_foretold_to_paid"] == pytest.approx(1.0, abs=0.06)
    assert revenue_calibration(examples(), chances[:, None], amounts) == {}
