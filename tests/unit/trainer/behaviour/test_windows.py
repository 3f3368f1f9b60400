from __future__ import annotations

import numpy as np
import pytest

from services.trainer.behaviour.objectives import BatchMaker, ObjectiveConfig, ObjectiveKind
from services.trainer.behaviour.sequences import SequenceConfig, Sequences, first_meetings
from services.trainer.behaviour.users import MASK_KIND
from services.trainer.behaviour.windows import WindowConfig, batches, cut
from tests.unit.trainer.behaviour.ring_shop import DAY_S, ring, rows

SEQUENCES = SequenceConfig()


def sequences(lengths: list[int], first_only: bool = False) -> Sequences:
    users = np.repeat(np.arange(len(lengths)), lengths)
    steps = np.concatenate([np.arange(length) for length in lengths])
    data = rows(users, steps % 7, steps, 7)
    return Sequences.of(data, np.arange(7), SequenceConfig(first_only=first_only))


@pytest.mark.parametrize("seed", range(5))
def test_windows_cover_every_row_and_end_with_the_last(seed: int) -> None:
    data = sequences([1, 2, 5, 6, 37, 11])
    windows = cut(data, 5, WindowConfig(), np.random.default_rng(seed))
    foretold = np.zeros(len(data), np.bool_)
    for begin, end in windows:
        assert 2 <= end - begin <= 5
        assert data.users[begin] == data.users[end - 1]
        foretold[begin + 1 : end] = True
    firsts = data.starts[:-1]
    assert foretold.sum() == len(data) - len(firsts)
    assert not foretold[firsts].any()
    assert set(data.starts[2:]) <= set(windows[:, 1])


def test_only_the_latest_windows_can_be_asked_for() -> None:
    data = sequences([37, 3])
    windows = cut(data, 5, WindowConfig(latest=1), np.random.default_rng(0))
    assert sorted(windows.tolist()) == [[32, 37], [37, 40]]


def test_batches_hold_each_window_once_within_the_budget() -> None:
    generator = np.random.default_rng(0)
    data = sequences(generator.integers(1, 60, 50).tolist())
    windows = cut(data, 20, WindowConfig(), generator)
    parts = list(batches(windows, 64, generator))
    assert sorted(np.concatenate(parts).tolist()) == sorted(windows.tolist())
    for part in parts:
        assert len(part) * (part[:, 1] - part[:, 0]).max() <= 64


def test_the_next_item_of_each_place_is_the_target() -> None:
    data = sequences([4, 3])
    maker = BatchMaker(ObjectiveConfig(), data)
    batch = maker.batch(np.array([[0, 4], [4, 7]]), np.random.default_rng(0))
    assert batch.products.tolist() == [[0, 1, 2], [0, 0, 1]]
    assert batch.kinds.tolist() == [[9, 9, 9], [0, 9, 9]]
    assert batch.rows.tolist() == [0, 0, 0, 1, 1]
    assert batch.places.tolist() == [0, 1, 2, 1, 2]
    assert batch.targets.tolist() == [1, 2, 3, 1, 2]
    assert batch.waits_s.tolist() == [DAY_S] * 5
    assert batch.ages_s[0].tolist() == [2 * DAY_S, DAY_S, 0]


def test_a_pair_weighs_half_when_its_target_is_a_half_life_old() -> None:
    maker = BatchMaker(ObjectiveConfig(half_life_days=2.0), sequences([5]))
    batch = maker.batch(np.array([[0, 5]]), np.random.default_rng(0))
    assert batch.weights.tolist() == pytest.approx([0.5**1.5, 0.5, 0.5**0.5, 1.0])


def test_masked_places_lose_their_kind_and_foretell_their_product() -> None:
    data = sequences([6, 2])
    maker = BatchMaker(ObjectiveConfig(kind=ObjectiveKind.MASKED, masked_share=0.4), data)
    batch = maker.batch(np.array([[0, 6], [6, 8]]), np.random.default_rng(1))
    masked = batch.kinds == MASK_KIND
    assert masked.any(1).all()
    assert (batch.products[masked] == batch.targets).all()


def test_horizon_targets_lie_after_their_place_and_within_the_horizon() -> None:
    data = sequences([7, 5])
    maker = BatchMaker(ObjectiveConfig(kind=ObjectiveKind.HORIZON, horizon_days=2.0, pairs=200), data)
    batch = maker.batch(np.array([[0, 7], [7, 12]]), np.random.default_rng(0))
    sources = batch.products[batch.rows, batch.places]
    steps = batch.targets - sources
    assert set(steps.tolist()) == {1, 2}
    assert len(steps) == 400
    assert (batch.waits_s < DAY_S).all()


def test_horizon_targets_are_new_to_the_user_when_asked() -> None:
    data = sequences([14], first_only=True)
    maker = BatchMaker(ObjectiveConfig(kind=ObjectiveKind.HORIZON, horizon_days=30.0, pairs=200), data)
    batch = maker.batch(np.array([[0, 14]]), np.random.default_rng(0))
    assert (batch.targets > batch.products[0, batch.places]).all()


def test_the_first_meeting_with_a_product_is_found() -> None:
    data = rows([0, 0, 0, 1], [3, 4, 3, 3], [0, 1, 2, 0], 5)
    assert first_meetings(data).tolist() == [True, True, False, True]


def test_replay_keeps_all_new_windows_and_a_share_of_old_ones() -> None:
    old, new = ring(users=300, length=5), ring(users=50, length=5, start_s=100 * DAY_S)
    data = rows(
        np.concatenate([old.users, new.users + 300]),
        np.concatenate([old.products, new.products]),
        np.concatenate([old.times_s, new.times_s]) // DAY_S,
        20,
    )
    config = WindowConfig(replay_before_s=50 * DAY_S, replay_share=0.3)
    windows = cut(Sequences.of(data, np.arange(20), SEQUENCES), 10, config, np.random.default_rng(0))
    later = windows[:, 0] >= 300 * 5
    assert later.sum() == 50
    assert 60 < (~later).sum() < 120
