"""Whether people come to the arms in their shares, looked at all the time."""

from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.sample_ratio import lowest_p


def test_true_shares_are_seldom_doubted_at_any_look() -> None:
    random = np.random.default_rng(1)
    doubted = sum(lowest_p((random.random(5000) < 0.3).astype(np.int64), [0.7, 0.3]) < 0.05 for _ in range(300))
    assert doubted / 300 <= 0.05


def test_lost_people_of_one_arm_are_noticed() -> None:
    random = np.random.default_rng(2)
    noticed = 0
    for _ in range(50):
        arms = random.integers(0, 2, 20_000)
        kept = arms[(arms == 0) | (random.random(20_000) > 0.1)]  # a tenth of one arm is lost
        noticed += lowest_p(kept, [0.5, 0.5]) < 1e-3
    assert noticed >= 48


def test_no_people_are_no_mismatch() -> None:
    assert lowest_p(np.array([], np.int64), [0.5, 0.5]) == 1.0


@pytest.mark.parametrize("shares", [[1.0], [0.0, 1.0]])
def test_shares_must_be_of_arms(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        lowest_p(np.array([0]), shares)
