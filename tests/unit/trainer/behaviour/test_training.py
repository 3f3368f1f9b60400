from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.trainer.behaviour.objectives import ObjectiveConfig
from services.trainer.behaviour.recommender import BehaviourRecommender
from services.trainer.behaviour.windows import WindowConfig
from services.trainer.recommenders.interface import no_report
from tests.unit.trainer.behaviour import train_in_process
from tests.unit.trainer.behaviour.ring_shop import DAY_S, PRODUCTS, config, content, ring, rows

ROOT = Path(__file__).parents[4]
SCRIPT = "tests.unit.trainer.behaviour.train_in_process"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'shared/protogen'}"}


def command(*launcher: str) -> list[str]:
    return [sys.executable, "-m", *launcher, SCRIPT]


def test_a_killed_training_is_taken_up_and_ends_with_the_same_model(tmp_path: Path) -> None:
    train_in_process.main(tmp_path / "whole", tmp_path / "whole.npz", 0)
    whole = np.load(tmp_path / "whole.npz")
    arguments = [str(tmp_path / "cut"), str(tmp_path / "cut.npz"), "500"]
    process = subprocess.Popen([*command(), *arguments], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "checkpoint written"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut.npz").exists()
    train_in_process.main(tmp_path / "cut", tmp_path / "cut.npz", 0)
    resumed = np.load(tmp_path / "cut.npz")
    assert resumed["steps"] == whole["steps"]
    np.testing.assert_allclose(resumed["history"], whole["history"], atol=1e-6)
    np.testing.assert_allclose(resumed["scores"], whole["scores"], atol=1e-4)
    assert not list((tmp_path / "cut").iterdir())


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")
    arguments = [str(tmp_path / "two"), str(tmp_path / "two.npz"), "0"]
    subprocess.run([*command(*launcher), *arguments], cwd=ROOT, env=ENVIRONMENT, check=True)
    result = np.load(tmp_path / "two.npz")
    assert np.isfinite(result["scores"]).all()
    assert result["steps"] == 12  # one process takes 24
    assert len(result["history"]) == 6


def test_a_checkpoint_of_other_data_is_not_taken_up(tmp_path: Path) -> None:
    def stop(step: str, done: int, total: int) -> None:
        if (tmp_path / "checkpoint.json").exists():
            raise KeyboardInterrupt

    quick = config(epochs=2, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        BehaviourRecommender(quick, folder=tmp_path).fit(ring(seed=5), None, stop)
    assert (tmp_path / "checkpoint.json").exists()
    fresh, beside = BehaviourRecommender(quick), BehaviourRecommender(quick, folder=tmp_path)
    fresh.fit(ring(), None, no_report)
    beside.fit(ring(), None, no_report)
    users = np.arange(4, dtype=np.int32)
    np.testing.assert_allclose(fresh.scores(users, DAY_S * 12), beside.scores(users, DAY_S * 12), atol=1e-5)


def test_validation_ends_a_training_that_no_longer_improves_and_keeps_the_best_weights() -> None:
    recommender = BehaviourRecommender(config(epochs=200, validation_users=20, patience=3))
    recommender.fit(ring(users=200), None, no_report)
    outcome = recommender.fitted.outcome
    assert outcome.epochs < 200
    assert outcome.ndcg == max(outcome.history) > 0.9
    assert outcome.history.index(outcome.ndcg) == len(outcome.history) - 4


def test_a_small_shop_is_trained_without_validation() -> None:
    recommender = BehaviourRecommender(config(epochs=10**6, seconds=0.2, validation_users=500))
    recommender.fit(rows([0, 0, *range(1, 12)], range(13), range(13), 13), None, no_report)
    assert recommender.fitted.outcome.ndcg is None
    assert recommender.fitted.outcome.steps > 0


def test_a_budget_of_time_ends_a_training() -> None:
    recommender = BehaviourRecommender(config(epochs=10**6, seconds=0.3))
    recommender.fit(ring(), None, no_report)
    assert 0 < recommender.fitted.outcome.steps < 10**5


def test_a_small_shop_is_trained_for_the_least_number_of_steps() -> None:
    recommender = BehaviourRecommender(config(epochs=1, least_steps=25))
    recommender.fit(ring(), None, no_report)
    assert recommender.fitted.outcome.steps == 25


def test_progress_is_reported_up_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    BehaviourRecommender(config(epochs=4)).fit(ring(), None, lambda step, done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def incremental(previous: Path, replay_share: float) -> BehaviourRecommender:
    """Goes on from a model of the ring with other users, who buy every second product; two products are new."""
    old, new = ring(), ring(users=20, products=PRODUCTS + 2, start_s=100 * DAY_S, seed=3)
    data = rows(
        np.concatenate([old.users, new.users + 40]),
        np.concatenate([old.products, new.products * 2 % (PRODUCTS + 2)]),
        np.concatenate([old.times_s, new.times_s]) // DAY_S,
        PRODUCTS + 2,
    )
    windows = WindowConfig(tokens=512, replay_before_s=50 * DAY_S, replay_share=replay_share)
    recommender = BehaviourRecommender(config(ObjectiveConfig(), windows=windows, epochs=80), previous=previous)
    recommender.fit(data, content(PRODUCTS + 2), no_report)
    return recommender


def test_incremental_training_grows_the_vocabulary_and_replay_keeps_the_old_skill(tmp_path: Path) -> None:
    first = BehaviourRecommender(config())
    first.fit(ring(), content(), no_report)
    first.save(tmp_path)
    replayed, forgetful = incremental(tmp_path, 0.5), incremental(tmp_path, 0.0)
    assert replayed.fitted.vocabulary.product_ids == tuple(f"p{n}" for n in range(PRODUCTS + 2))
    last = ring().products[ring().starts()[1:] - 1]
    users = np.arange(40, dtype=np.int32)

    def skill(recommender: BehaviourRecommender) -> float:
        return float((recommender.scores(users, 12 * DAY_S).argmax(1) == (last + 1) % PRODUCTS).mean())

    assert skill(replayed) > 0.9
    assert skill(replayed) > skill(forgetful)


def test_one_epoch_from_an_earlier_model_beats_one_epoch_from_nothing(tmp_path: Path) -> None:
    first = BehaviourRecommender(config())
    first.fit(ring(), None, no_report)
    first.save(tmp_path)
    warm, cold = BehaviourRecommender(config(epochs=1), previous=tmp_path), BehaviourRecommender(config(epochs=1))
    warm.fit(ring(seed=2), None, no_report)
    cold.fit(ring(seed=2), None, no_report)
    assert warm.fitted.outcome.loss < cold.fitted.outcome.loss / 2
