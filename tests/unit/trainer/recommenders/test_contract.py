"""What every recommender keeps to."""

import numpy as np
import pytest

from services.trainer.learning.interactions import EventKind
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.interface import Recommender, no_report
from services.trainer.recommenders.registry import CLASSICAL, Setup
from tests.unit.trainer.recommenders.shops import DAY_S, content_of, rows_of, shop

USERS, PRODUCTS = 30, 15
SILENT, OUTSIDE = USERS - 1, USERS + 5


@pytest.fixture(params=list(CLASSICAL))
def model(request) -> Recommender:
    return CLASSICAL[request.param](Setup())


@pytest.fixture
def fitted(model):
    model.fit(shop(), content_of(PRODUCTS), no_report)
    return model


def ask(model, users, rows=None):
    return model.scores(np.array(users, dtype=np.int32), (rows or shop()).end_time_s + DAY_S)


def test_it_is_a_recommender_of_the_name_it_is_registered_by(model):
    assert isinstance(model, Recommender)
    assert CLASSICAL[model.name](Setup()).name == model.name


def test_scores_are_finite_32_bit_numbers_of_all_users_and_products(fitted):
    scores = ask(fitted, [0, 1, 2])
    assert scores.shape == (3, PRODUCTS)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_no_users_give_no_rows(fitted):
    assert ask(fitted, []).shape == (0, PRODUCTS)


def test_a_user_without_history_and_an_unknown_one_get_what_is_popular(fitted):
    silent, outside, negative = ask(fitted, [SILENT, OUTSIDE, -1])
    assert np.isfinite(silent).all()
    assert len(np.unique(silent)) > 1
    assert np.array_equal(silent, outside)
    assert np.array_equal(silent, negative)
    assert silent.argmin() == PRODUCTS - 1


def test_a_product_nobody_bought_has_a_finite_score(fitted):
    assert np.isfinite(ask(fitted, range(USERS))[:, PRODUCTS - 1]).all()


def test_the_same_rows_give_the_same_scores(fitted, model):
    first = ask(fitted, range(USERS))
    model.fit(shop(), content_of(PRODUCTS), no_report)
    assert np.array_equal(first, ask(model, range(USERS)))


def test_users_do_not_depend_on_who_is_asked_with_them(fitted):
    assert np.allclose(ask(fitted, [3, 7, OUTSIDE])[1], ask(fitted, [7])[0], rtol=1e-4, atol=1e-5)


def test_products_that_were_treated_alike_tie(model):
    lines = [
        (user, product, day)
        for user in range(6)
        for day in (1, 20, 40, 60, 80, 100, 110)
        for product in (0, 1, 2 + user % 2)
    ]
    rows = rows_of(lines, 4, 6)
    vectors = [[1, 0], [1, 0], [0, 1], [0, 1]]
    content = content_of(4, vectors)
    content.categories.leaf_indexes[:] = [0, 0, 1, 1]
    content.brands[:] = [1, 1, 2, 2]
    model.fit(rows, content, no_report)
    scores = ask(model, range(6), rows)
    if model.name in ("als",):  # each product starts from its own random factors
        return
    assert np.allclose(scores[:, 0], scores[:, 1], rtol=1e-4, atol=1e-4)


def test_a_second_fit_forgets_the_first(model):
    other = rows_of(
        [(0, 2, day) for day in range(0, 100, 9)] + [(1, 1, day) for day in range(0, 100, 7)] + [(1, 2, 99)], 3, 2
    )
    model.fit(shop(), content_of(PRODUCTS), no_report)
    model.fit(other, content_of(3), no_report)
    assert ask(model, [0, 1], other).shape == (2, 3)


@pytest.mark.parametrize("lines", [[], [(0, 1, 3, EventKind.IMPRESSION), (1, 0, 4, EventKind.REMOVE_FROM_CART)]])
def test_rows_that_say_nothing_of_taste_are_refused(model, lines):
    with pytest.raises(InsufficientData, match=model.name):
        model.fit(rows_of(lines, 3, 2), content_of(3), no_report)


def test_progress_is_told_with_an_end(model):
    told = []
    model.fit(shop(), content_of(PRODUCTS), lambda step, done, total: told.append((step, done, total)))
    assert told
    assert all(step and 0 < done <= total for step, done, total in told)
    assert told[-1][1] == told[-1][2]
