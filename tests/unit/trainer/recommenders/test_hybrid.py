"""The mix finds out which parts are worth something."""

import numpy as np
import pytest

from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.hybrid import Hybrid, HybridConfig
from services.trainer.recommenders.interface import no_report
from services.trainer.recommenders.mixing import Candidates, MixConfig, learn_weights, level, mean_ndcg, part_features
from services.trainer.recommenders.own import Own, OwnConfig
from services.trainer.recommenders.popular import Popularity, PopularityConfig
from tests.unit.trainer.recommenders.shops import DAY_S, rows_of, shop


class Noise:
    """Scores that say nothing."""

    name = "noise"

    def fit(self, rows, content, report):
        self.products = len(rows.product_ids)

    def scores(self, users, now_s):
        return np.stack([np.random.default_rng(user + 7).random(self.products) for user in users]).astype(np.float32)


def drawn(seed=0, users=200, width=30):
    """The first feature tells what is chosen, the second is noise."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(users, width, 2)).astype(np.float32)
    chosen = features[:, :, 0] + 0.3 * random.normal(size=(users, width)) > 1.2
    return Candidates(features, chosen, np.ones((users, width), bool), np.maximum(chosen.sum(axis=1), 1))


def test_weights_go_to_what_tells():
    told, noise = learn_weights(drawn(), MixConfig())
    assert told > 5 * abs(noise)


def test_ndcg_of_candidates_is_exact():
    chosen = np.array([[True, False, False]])
    candidates = Candidates(np.zeros((1, 3, 1), np.float32), chosen, np.ones((1, 3), bool), np.array([2]))
    best = 1.0 / (1.0 + 1.0 / np.log2(3))
    assert mean_ndcg(np.array([[3.0, 2.0, 1.0]], np.float32), candidates) == pytest.approx(best)
    assert mean_ndcg(np.array([[1.0, 2.0, 0.0]], np.float32), candidates) == pytest.approx(best / np.log2(3))


def test_padding_is_never_listed():
    chosen, valid = np.array([[True, True]]), np.array([[True, False]])
    candidates = Candidates(np.zeros((1, 2, 1), np.float32), chosen, valid, np.array([1]))
    assert mean_ndcg(np.array([[0.0, 9.0]], np.float32), candidates) == pytest.approx(1.0)


def test_nobody_choosing_gives_no_weights():
    candidates = drawn()
    nothing = Candidates(
        candidates.features, np.zeros_like(candidates.chosen), candidates.valid, candidates.chosen_counts
    )
    assert learn_weights(nothing, MixConfig()).tolist() == [0.0, 0.0]


def test_level_lifts_the_group_that_is_chosen():
    had = np.tile([True, False], (50, 10))
    candidates = Candidates(np.zeros((50, 20, 1), np.float32), had, np.ones_like(had), np.full(50, 10))
    order = np.random.default_rng(0).normal(size=had.shape).astype(np.float32)
    scale, shift = level(order, order, had, candidates)
    assert mean_ndcg(np.where(had, scale * order + shift, order), candidates) > 0.95


def test_features_of_constant_scores_are_zero():
    logs, plain = part_features(np.full((2, 5), 3.0, np.float32))
    assert not logs.any()
    assert not plain.any()


def test_a_mix_is_as_good_as_its_best_part_and_ignores_noise():
    rows = shop(users=60)
    cut = rows.end_time_s - 28 * DAY_S
    before, later = rows.before(cut), rows.where(rows.times_s >= cut)
    users = np.unique(later.users).astype(np.int32)
    truth = np.zeros((60, 15), bool)
    truth[later.users, later.products] = True

    def quality(model):
        model.fit(before, None, no_report)
        candidates = Candidates(
            np.zeros((len(users), 15, 1), np.float32),
            truth[users],
            np.ones((len(users), 15), bool),
            truth[users].sum(1),
        )
        return mean_ndcg(model.scores(users, cut), candidates)

    own = Own(OwnConfig(timed=False))
    mix = Hybrid("mix", [Noise(), Popularity(PopularityConfig()), own], HybridConfig())
    assert quality(mix) > quality(own) - 0.03
    assert quality(mix) > quality(Noise()) + 0.2
    weights = mix.weights()["had"]
    assert abs(weights["noise"][0]) < abs(weights["own-decayed"][0]) + abs(weights["own-decayed"][1])


def test_a_cut_with_nobody_on_both_sides_is_refused():
    rows = rows_of([(0, 0, 1), (1, 1, 200)], 2, 2)
    with pytest.raises(InsufficientData, match="before and after"):
        Hybrid("mix", [Popularity(PopularityConfig())], HybridConfig()).fit(rows, None, no_report)


def test_sequences_are_cut_before_the_last_event():
    rows = rows_of([(user, (user + day) % 4, day) for user in range(8) for day in range(6)], 4, 8)
    mix = Hybrid("mix", [Popularity(PopularityConfig())], HybridConfig(horizon_days=None))
    mix.fit(rows, None, no_report)
    assert mix.scores(np.arange(8, dtype=np.int32), rows.end_time_s).shape == (8, 4)
