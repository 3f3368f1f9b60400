"""Known answers on tiny data."""

import numpy as np
import pytest
import scipy.sparse as sp

from services.trainer.learning.interactions import EventKind
from services.trainer.recommenders.affinity import Affinity, AffinityConfig
from services.trainer.recommenders.content_based import ContentBased, ContentBasedConfig
from services.trainer.recommenders.ease import Ease, EaseConfig, dual_scores, item_weights
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.holdout import last_events
from services.trainer.recommenders.interface import no_report
from services.trainer.recommenders.item_knn import ItemKnn, ItemKnnConfig
from services.trainer.recommenders.markov import Markov, MarkovConfig, step_numbers
from services.trainer.recommenders.own import Own, OwnConfig, own_pairs
from services.trainer.recommenders.popular import Popularity, PopularityConfig
from services.trainer.recommenders.signals import decayed_weights, popularity, strongest
from services.trainer.recommenders.user_knn import UserKnn, UserKnnConfig
from tests.unit.trainer.recommenders.shops import DAY_S, content_of, rows_of


def scores(model, rows, users, content=None, days_later=0):
    model.fit(rows, content, no_report)
    return model.scores(np.array(users, np.int32), rows.end_time_s + days_later * DAY_S)


def test_popularity_counts_people_in_its_window_once():
    rows = rows_of([(0, 0, 90), (0, 0, 95), (1, 0, 99), (1, 1, 100), (2, 2, 10), (3, 2, 11)], 3, 4)
    found = scores(Popularity(PopularityConfig(window_days=28)), rows, [0])[0]
    assert found.round().tolist() == [2.0, 1.0, 0.0]
    assert 0 < found[2] < 0.01


def test_a_view_weighs_less_than_a_purchase():
    rows = rows_of([(0, 0, 1, EventKind.PRODUCT_VIEW), (1, 0, 1, EventKind.PRODUCT_VIEW), (2, 1, 1)], 2, 3)
    assert popularity(rows)[0] == pytest.approx(0.2, abs=0.01)
    assert popularity(rows).argmax() == 1


def test_decay_halves_by_half_life_from_the_given_moment():
    rows = rows_of([(0, 0, 0), (0, 0, 10)], 1, 1)
    assert decayed_weights(rows, 10.0).tolist() == [0.5, 1.0]
    assert decayed_weights(rows, 10.0, rows.end_time_s + 10 * DAY_S).tolist() == [0.25, 0.5]
    assert strongest(rows, decayed_weights(rows, 10.0)).toarray().tolist() == [[1.0]]


def test_own_most_bought_counts_and_decays():
    rows = rows_of([(0, 0, day) for day in (0, 1, 2)] + [(0, 1, 99), (0, 1, 100), (1, 2, 100)], 3, 2)
    plain = scores(Own(OwnConfig(half_life_days=None, timed=False)), rows, [0])[0]
    decayed = scores(Own(OwnConfig(half_life_days=14.0, timed=False)), rows, [0])[0]
    assert plain[:2] == pytest.approx([3.0, 2.0], abs=0.01)
    assert plain.argmax() == 0
    assert decayed.argmax() == 1


def test_usual_intervals_are_the_users_own_where_there_are_many_gaps():
    rows = rows_of([(0, 0, day) for day in range(0, 301, 10)], 1, 1)
    pairs = own_pairs(rows, rows.end_time_s + 10 * DAY_S, None)
    assert pairs.ratios == pytest.approx([1.0], rel=0.01)
    assert pairs.counts.tolist() == [31.0]


def test_timing_prefers_what_is_due():
    """Everybody buys each product every 20 days; product 0 was bought today, product 1 eighteen days ago."""
    lines = [(user, 0, day) for user in range(40) for day in range(0, 201, 20)]
    lines += [(user, 1, day) for user in range(40) for day in range(2, 201, 20)]
    rows = rows_of(lines, 2, 40)
    timed = Own(OwnConfig(half_life_days=1000.0, horizon_days=5.0, windows=8, repeat_prior=1e6))
    untimed = Own(OwnConfig(half_life_days=1000.0, timed=False))
    assert scores(timed, rows, [0])[0].argmax() == 1
    assert scores(untimed, rows, [0])[0].argmax() == 0


def test_own_scores_depend_on_the_moment_of_the_request():
    lines = [(user, 0, day) for user in range(30) for day in range(user % 7, 200, 7)]
    rows = rows_of(lines, 1, 30)
    model = Own(OwnConfig())
    today, later = scores(model, rows, [0]), model.scores(np.array([0], np.int32), rows.end_time_s + 90 * DAY_S)
    assert later[0, 0] < today[0, 0]


def test_both_forms_of_ease_agree_and_keep_to_the_definition():
    dense = np.random.default_rng(0).random((6, 9)) * (np.random.default_rng(1).random((6, 9)) < 0.5)
    matrix = sp.csr_matrix(dense.astype(np.float32))
    precision = np.linalg.inv(dense.T @ dense + 3.0 * np.eye(9))
    weights = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    assert item_weights(matrix, 3.0) == pytest.approx(weights, abs=1e-4)
    assert matrix.toarray() - dual_scores(matrix, 3.0) == pytest.approx(dense @ weights, abs=1e-4)


def test_ease_says_when_the_closed_form_is_too_large():
    rows = rows_of([(0, 0, 1), (1, 1, 1)], 2, 2)
    with pytest.raises(InsufficientData, match="2 users × 2 products"):
        Ease(EaseConfig(dense_side=1)).fit(rows, None, no_report)


def together():
    """Products 0 and 1 are bought by the same people, 2 and 3 by others; user 8 has product 0 only."""
    lines = [(user, product, 10 * user) for user in range(4) for product in (0, 1)]
    lines += [(user, product, 10 * user) for user in range(4, 8) for product in (2, 3)]
    return rows_of([*lines, (8, 0, 75)], 4, 9)


@pytest.mark.parametrize(
    "model",
    [
        ItemKnn(ItemKnnConfig()),
        ItemKnn(ItemKnnConfig(weighting="bm25")),
        Ease(EaseConfig(ridge=1.0)),
        Ease(EaseConfig(ridge=1.0, entries="latest")),
        UserKnn(UserKnnConfig(neighbours=3, half_life_days=1000.0)),
    ],
    ids=lambda model: model.name,
)
def test_who_bought_the_one_is_shown_the_other(model):
    found = scores(model, together(), [8])[0]
    assert found[1:].argmax() == 0


def test_item_cosine_is_exact():
    rows = rows_of([(0, 0, 1), (0, 1, 1), (1, 0, 1)], 2, 2)
    found = scores(ItemKnn(ItemKnnConfig()), rows, [1])[0]
    assert found == pytest.approx([1.0, 1.0 / np.sqrt(2.0)], abs=2e-3)


def test_what_follows_is_foretold_from_the_last_steps():
    cycle = [(user, (user + day) % 5, day) for user in range(10) for day in range(20)]
    rows = rows_of(cycle, 5, 10)
    found = scores(Markov(MarkovConfig(steps=1)), rows, range(10))
    assert found.argmax(axis=1).tolist() == [(user + 20) % 5 for user in range(10)]


def test_several_steps_back_count_with_decay():
    rows = rows_of([(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 1)], 3, 2)
    config = MarkovConfig(steps=2, decay=0.5, popularity_power=0.0, shrink=0.0)
    found = scores(Markov(config), rows, [1])[0]
    assert found == pytest.approx([0.0, 1.0 / 1.5, 0.5 / 1.5], abs=1e-3)


def test_a_basket_is_one_step():
    rows = rows_of([(0, 0, 1), (0, 1, 1), (0, 2, 2), (1, 0, 1)], 3, 2)
    steps, owners = step_numbers(rows)
    assert steps.tolist() == [0, 0, 1, 2]
    assert owners.tolist() == [0, 0, 1]


def test_content_finds_what_resembles_the_recent():
    vectors = [[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]]
    rows = rows_of([(0, 0, 1), (0, 1, 200)], 4, 1)
    found = scores(ContentBased(ContentBasedConfig(half_life_days=7.0)), rows, [0], content_of(4, vectors))[0]
    assert found.argsort()[::-1].tolist()[:2] == [1, 3]


def test_content_needs_vectors():
    bare = content_of(2, np.zeros((2, 0)))
    for content in (None, bare):
        with pytest.raises(InsufficientData, match="text vectors"):
            ContentBased(ContentBasedConfig()).fit(rows_of([(0, 0, 1)], 2, 1), content, no_report)


def test_affinity_prefers_the_users_categories_also_for_products_nobody_bought():
    rows = rows_of([(0, 0, day) for day in range(10)] + [(1, 1, day) for day in range(10)], 4, 2)
    found = scores(Affinity(AffinityConfig(prior=1.0)), rows, [0, 1], content_of(4))
    assert found[0, 2] > found[0, 3]
    assert found[1, 3] > found[1, 2]


def test_last_events_are_whole_and_only_of_users_with_several():
    rows = rows_of([(0, 0, 1), (0, 1, 2), (0, 2, 2), (1, 0, 5)], 3, 2)
    assert last_events(rows).tolist() == [False, True, True, False]
