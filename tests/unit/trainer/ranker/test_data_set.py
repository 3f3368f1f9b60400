from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.datasets.errors import DataLeak
from services.trainer.datasets.impressions import Impressions
from services.trainer.datasets.leaks import LeakConfig
from services.trainer.learning.interactions import EventKind
from services.trainer.ranker import data_set
from services.trainer.ranker.data_set import UNKNOWN, DataConfig, Task, check_no_leak, joined, ranker_data
from services.trainer.ranker.errors import NothingToRank
from services.trainer.ranker.snapshot import Snapshot
from services.trainer.ranker.validate import area_under_curve, person_ndcg
from shared.features.registry import FEATURES
from tests.unit.trainer.ranker.shop import DAY, NEIGHBOURS, START, content, rows

CUT_S = START + 100 * DAY
CONFIG = DataConfig(neighbours=NEIGHBOURS)


def pairs(chosen, width=60):  # type: ignore[no-untyped-def]
    return set((chosen.users.astype(int) * width + chosen.products).tolist())


def test_labels_are_what_was_bought_in_the_window_and_nothing_else() -> None:
    events = rows()
    data = ranker_data(events, content(), CUT_S, CONFIG)
    later = pairs(events.between(CUT_S, CUT_S + 28 * DAY).of_kind(EventKind.PURCHASE))
    before = pairs(events.before(CUT_S).of_kind(EventKind.PURCHASE))
    keys = data.users[data.persons].astype(int) * 60 + data.products
    assert [key in later for key in keys.tolist()] == (data.labels[:, Task.PURCHASE] == 1).tolist()
    assert [key in before for key in keys.tolist()] == data.known.tolist()
    assert len(np.unique(keys)) == len(keys)
    assert data.wanted.sum() == len(later)
    assert data.wanted_new.sum() == len(later - before)
    assert (data.labels[:, [Task.CLICK, Task.CART]] == UNKNOWN).all()


def test_amounts_are_what_was_paid_within_the_window() -> None:
    events = rows(paid=True)
    data = ranker_data(events, content(), CUT_S, CONFIG)
    bought = data.labels[:, Task.PURCHASE] == 1
    assert np.isfinite(data.amounts).tolist() == bought.tolist()
    later = events.between(CUT_S, CUT_S + 28 * DAY).of_kind(EventKind.PURCHASE)
    for place in np.flatnonzero(bought)[:20].tolist():
        user, product = data.users[data.persons[place]], int(data.products[place])
        times = int(((later.users == user) & (later.products == product)).sum())
        assert data.amounts[place] == pytest.approx(times * (1.0 + 0.1 * product))


def test_amounts_of_which_a_part_is_not_known_are_not_known() -> None:
    events = rows(paid=True)
    data = ranker_data(events, content(), CUT_S, CONFIG)
    assert events.amount_micros is not None
    row = int(np.flatnonzero((events.times_s >= CUT_S) & (events.amount_micros >= 0))[0])
    events.amount_micros[row] = -1
    again = ranker_data(events, content(), CUT_S, CONFIG)
    user, product = events.users[row], events.products[row]
    hidden = (data.users[data.persons] == user) & (data.products == product)
    assert np.isnan(again.amounts[hidden]).all()
    np.testing.assert_array_equal(again.amounts[~hidden], data.amounts[~hidden])
    assert np.isnan(ranker_data(rows(), content(), CUT_S, CONFIG).amounts).all()


def test_what_comes_later_changes_no_feature() -> None:
    events = rows()
    with_all = ranker_data(events, content(), CUT_S, CONFIG)
    alone = ranker_data(events.before(CUT_S), content(), CUT_S, CONFIG)
    np.testing.assert_array_equal(with_all.features, alone.features)
    check_no_leak(events, content(), CUT_S, CONFIG, LeakConfig(users=20))


def test_a_leak_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(Snapshot):
        @classmethod
        def at(cls, rows, categories, cut_s, config):  # type: ignore[no-untyped-def]
            return replace(Snapshot.at(rows, categories, cut_s + DAY, config), cut_s=cut_s)

    monkeypatch.setattr(data_set, "Snapshot", Careless)
    with pytest.raises(DataLeak):
        check_no_leak(rows(), content(), CUT_S, CONFIG, LeakConfig(users=20))


def test_what_was_shown_has_clicks_carts_and_a_place() -> None:
    events = rows()
    plain = ranker_data(events, content(), CUT_S, CONFIG)
    user, product = int(plain.users[plain.persons[5]]), int(plain.products[5])
    shown = impressions([(user, product, 4, CUT_S + DAY, True, False), (user, product, 2, CUT_S - DAY, False, True)])
    data = ranker_data(events, content(), CUT_S, CONFIG, impressions=shown)
    assert data.labels[5].tolist() == [plain.labels[5, 0], 1, 0]
    assert data.positions[5] == 4
    others = np.arange(len(data)) != 5
    assert (data.positions[others] == UNKNOWN).all()
    assert (data.labels[others, Task.CLICK] == UNKNOWN).all()


def test_persons_of_several_cuts_stay_apart() -> None:
    parts = [ranker_data(rows(), content(), CUT_S - days * DAY, CONFIG) for days in (0, 28)]
    both = joined(parts)
    assert len(both.users) == len(both.wanted) == sum(len(part.users) for part in parts)
    assert both.persons[len(parts[0])] == len(parts[0].users)
    chosen = np.arange(len(both.users)) >= len(parts[0].users)
    np.testing.assert_array_equal(both.of_persons(chosen).features, parts[1].features)
    np.testing.assert_array_equal(both.of_persons(chosen).persons, parts[1].persons)


def test_features_are_those_of_the_registry() -> None:
    data = ranker_data(rows(), content(), CUT_S, CONFIG)
    assert data.names == tuple(FEATURES)
    assert np.isfinite(data.features).all()
    two = data.with_features([3, 0])
    assert two.names == (data.names[3], data.names[0])
    np.testing.assert_array_equal(two.features[:, 1], data.features[:, 0])


def test_without_purchases_there_is_nothing_to_rank() -> None:
    with pytest.raises(NothingToRank, match="bought before"):
        ranker_data(rows(), content(), START, CONFIG)


def test_the_best_order_has_ndcg_one_where_all_can_be_listed() -> None:
    data = ranker_data(rows(), content(), CUT_S, CONFIG)
    asked, best = person_ndcg(data, data.labels[:, 0].astype(float), only_new=False)
    hits = np.bincount(data.persons, data.labels[:, 0] > 0)[asked]
    whole = np.minimum(hits, 10) == np.minimum(data.wanted[asked], 10)
    np.testing.assert_allclose(best[whole], 1.0)
    assert whole.any()
    worst = person_ndcg(data, -data.labels[:, 0].astype(float), only_new=False)[1]
    assert worst.mean() < best.mean()
    new, values = person_ndcg(data, data.labels[:, 0].astype(float), only_new=True)
    assert set(new.tolist()) == set(np.flatnonzero(data.wanted_new).tolist())
    assert 0.0 < values.mean() <= 1.0


def test_area_under_curve_by_hand() -> None:
    assert area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == pytest.approx(0.75)
    assert area_under_curve(np.array([0.5, 0.5]), np.array([0, 1])) == pytest.approx(0.5)
    assert area_under_curve(np.array([0.5, 0.5]), np.array([1, 1])) == 0.5


def impressions(found: list[tuple[int, int, int, int, bool, bool]]) -> Impressions:
    """User, product, place, time, clicked, carted."""
    users, products, places, times_s, clicked, carted = zip(*found, strict=True)
    flags = np.zeros(len(found), np.bool_)
    return Impressions(
        requests=np.arange(len(found), dtype=np.int32),
        users=np.array(users, np.int32),
        products=np.array(products, np.int32),
        positions=np.array(places, np.int32),
        times_s=np.array(times_s, np.int64),
        devices=np.zeros(len(found), np.int8),
        releases=np.zeros(len(found), np.int32),
        list_kinds=np.zeros(len(found), np.int32),
        shown=~flags,
        clicked=np.array(clicked),
        carted=np.array(carted),
        purchased=flags,
        revenue_micros=np.zeros(len(found), np.int64),
        release_ids=("r",),
        list_kind_names=("home",),
        window_s=7 * DAY,
        end_time_s=CUT_S + 30 * DAY,
    )
