from __future__ import annotations

import numpy as np
import pytest

from services.trainer.behaviour.losses import LossKind
from services.trainer.behaviour.objectives import ObjectiveConfig, ObjectiveKind
from services.trainer.behaviour.recommender import BehaviourRecommender
from services.trainer.behaviour.sequences import SequenceConfig
from services.trainer.behaviour.users import UserEncoderConfig
from services.trainer.learning.interactions import EventKind
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.interface import Recommender, no_report
from tests.unit.trainer.behaviour.ring_shop import DAY_S, PRODUCTS, config, content, ring, rows

LENGTH = 12


def next_products(recommender: BehaviourRecommender, users: int = 40) -> float:
    """Share of users whose best product is the next of the ring."""
    data = ring()
    scores = recommender.scores(np.arange(users, dtype=np.int32), LENGTH * DAY_S)
    last = data.products[data.starts()[1 : users + 1] - 1]
    return float((scores.argmax(1) == (last + 1) % PRODUCTS).mean())


@pytest.mark.parametrize(
    ("loss", "epochs"), [(LossKind.FULL_SOFTMAX, 40), (LossKind.SAMPLED_SOFTMAX, 40), (LossKind.GBCE, 200)]
)
def test_each_loss_learns_the_next_product(loss: LossKind, epochs: int) -> None:
    recommender = BehaviourRecommender(config(loss=loss, epochs=epochs))
    recommender.fit(ring(), None, no_report)
    assert isinstance(recommender, Recommender)
    assert next_products(recommender) > 0.9


def test_the_masked_objective_learns_the_next_product() -> None:
    objective = ObjectiveConfig(kind=ObjectiveKind.MASKED, masked_share=0.3)
    recommender = BehaviourRecommender(config(objective, epochs=120))
    recommender.fit(ring(), None, no_report)
    assert next_products(recommender) > 0.8


def test_the_horizon_objective_foretells_what_comes_within_the_horizon() -> None:
    objective = ObjectiveConfig(kind=ObjectiveKind.HORIZON, horizon_days=3.0, pairs=16)
    recommender = BehaviourRecommender(config(objective, epochs=60))
    data = ring()
    recommender.fit(data, None, no_report)
    best = np.argsort(-recommender.scores(np.arange(40, dtype=np.int32), LENGTH * DAY_S), axis=1)[:, :2]
    steps = (best - data.products[data.starts()[1:] - 1][:, None]) % PRODUCTS
    assert ((steps >= 1) & (steps <= 3)).mean() > 0.9


def test_a_product_nobody_bought_is_ranked_by_its_content() -> None:
    data = ring()
    cold = 7
    recommender = BehaviourRecommender(config(epochs=60))
    recommender.fit(data.where(data.products != cold), content(), no_report)
    asked = np.flatnonzero(data.products[data.starts()[1:] - 1] == cold - 1).astype(np.int32)
    ranks = (-recommender.scores(asked, LENGTH * DAY_S)).argsort(axis=1).argsort(axis=1)[:, cold]
    assert len(asked)
    assert ranks.mean() < PRODUCTS / 4


def test_the_same_rows_give_the_same_model_and_an_earlier_fit_is_forgotten() -> None:
    users = np.arange(5, dtype=np.int32)
    first, second = BehaviourRecommender(config(epochs=3)), BehaviourRecommender(config(epochs=3))
    first.fit(ring(seed=1), None, no_report)
    first.fit(ring(), None, no_report)
    second.fit(ring(), None, no_report)
    np.testing.assert_allclose(first.scores(users, DAY_S * 20), second.scores(users, DAY_S * 20), atol=1e-4)


def test_users_without_rows_get_finite_scores() -> None:
    recommender = BehaviourRecommender(config(epochs=1))
    recommender.fit(rows([0, 0, 1, 3, 3], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4], 9), None, no_report)
    scores = recommender.scores(np.array([0, 1, 2, 3, 99, -1], np.int32), DAY_S * 9)
    assert scores.shape == (6, 9)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores[[4, 5]], scores[[2, 2]], atol=1e-6)


def test_users_without_rows_are_shown_what_suits_everybody() -> None:
    users, steps = np.repeat(np.arange(30), 4), np.tile(np.arange(4), 30)
    data = rows(users, np.where(steps == 3, 2, users % 9), steps, 9)
    recommender = BehaviourRecommender(config())
    recommender.fit(data, None, no_report)
    favourite = np.bincount(recommender.scores(np.arange(30, dtype=np.int32), 5 * DAY_S).argmax(1)).argmax()
    assert recommender.scores(np.array([-1], np.int32), 5 * DAY_S).argmax(1) == favourite


@pytest.mark.parametrize(
    ("users", "missing"),
    [([], "no rows of the types product_view"), ([0, 1, 2], "no user has two events")],
    ids=["empty", "one event each"],
)
def test_nothing_to_learn_is_said(users: list[int], missing: str) -> None:
    data = rows(users, list(range(len(users))), list(range(len(users))), 5)
    with pytest.raises(InsufficientData, match=missing):
        BehaviourRecommender(config()).fit(data, None, no_report)


def test_rows_that_are_only_impressions_are_nothing_to_learn_from() -> None:
    data = ring(users=3)
    data.kinds[:] = EventKind.IMPRESSION
    with pytest.raises(InsufficientData, match="no rows of the types"):
        BehaviourRecommender(config()).fit(data, None, no_report)


def test_scores_before_fit_say_what_to_call() -> None:
    with pytest.raises(InsufficientData, match="call fit"):
        BehaviourRecommender(config()).scores(np.zeros(1, np.int32), 0)


def test_first_purchases_only_lift_products_that_are_new() -> None:
    """Each user buys product 0 every day, and once, on the last day but one, a product that is new."""
    users = np.repeat(np.arange(30), 8)
    days = np.tile(np.arange(8), 30)
    products = np.where(days == 6, 1 + users % 3, 0)
    data = rows(users, products, days, 6)
    narrow = UserEncoderConfig(dimension=8, length=10, blocks=1, dropout=0.0)
    recommender = BehaviourRecommender(config(users=narrow, sequences=SequenceConfig(first_only=True), epochs=40))
    recommender.fit(data, None, no_report)
    repeating = BehaviourRecommender(config(users=narrow, epochs=40))
    repeating.fit(data, None, no_report)
    asked = np.arange(3, dtype=np.int32)
    assert (repeating.scores(asked, 8 * DAY_S).argmax(1) == 0).all()
    assert (recommender.scores(asked, 8 * DAY_S).argmax(1) != 0).all()


def test_a_training_can_begin_with_the_popular_list() -> None:
    users = np.repeat(np.arange(30), 4)
    products = np.concatenate([[user % 2, 2, 3 + user % 5, 8] for user in range(30)])
    data = rows(users, products, np.tile(np.arange(4), 30), 9)
    recommender = BehaviourRecommender(config(epochs=0, popularity_start=True))
    recommender.fit(data, None, no_report)
    scores = recommender.scores(np.arange(3, dtype=np.int32), 9 * DAY_S)
    bought = np.bincount(products, minlength=9)
    assert np.isin(np.argsort(-scores, axis=1)[:, :2], [2, 8]).all()
    assert np.corrcoef(scores[0], np.log(bought))[0, 1] > 0.9
