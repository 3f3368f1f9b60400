"""Ages and drift of the releases in use."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import REGISTRY

from services.trainer.domain import DRIFT, Gate, Lineup, Metric, Release
from services.trainer.measure_releases import measure
from services.trainer.train import outcome_of


def release(day: int, drift: float, *, current: bool = True, gate: Gate | None = None) -> Release:
    moment = datetime(2026, 1, day, tzinfo=UTC)
    metric = Metric(DRIFT, "score", "release", drift, drift, drift, 10)
    return Release(
        release_id=f"r{day}",
        create_time=moment,
        current=current,
        data_end_time=moment,
        purchase_count=1,
        user_count=1,
        product_count=1,
        pair_count=1,
        metrics=(metric,),
        gate=gate,
    )


def test_the_oldest_release_and_the_largest_drift_of_all_tenants_count() -> None:
    measure([Lineup(release(2, 0.1)), Lineup(release(5, 0.3))])
    assert REGISTRY.get_sample_value("mercato_trainer_drift") == 0.3
    expected = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    assert REGISTRY.get_sample_value("mercato_trainer_release_timestamp_seconds") == expected
    measure([])
    assert REGISTRY.get_sample_value("mercato_trainer_release_timestamp_seconds") == 0.0


def test_a_training_is_counted_by_what_became_of_its_release() -> None:
    assert outcome_of(release(1, 0.0)) == "promoted"
    assert outcome_of(release(1, 0.0, current=False, gate=Gate(False, ()))) == "gate refused"
    assert outcome_of(release(1, 0.0, current=False, gate=Gate(True, ()))) == "kept"
