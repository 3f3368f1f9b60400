"""Timestamps and durations beyond what protobuf allows are named by their path."""

from __future__ import annotations

import pytest
from mercato.gateway.v1 import api_key_pb2, user_event_service_pb2
from mercato.profile.v1 import profile_service_pb2

from shared.validation.moments import moment_violations


@pytest.mark.parametrize(
    ("seconds", "nanos", "valid"),
    [
        (0, 0, True),
        (-62_135_596_800, 0, True),
        (253_402_300_799, 999_999_999, True),
        (-62_135_596_801, 0, False),
        (253_402_300_800, 0, False),
        ((1 << 63) - 1, 0, False),
        (0, -1, False),
        (0, 1_000_000_000, False),
    ],
)
def test_timestamps(seconds: int, nanos: int, valid: bool) -> None:
    request = profile_service_pb2.ReadEventsRequest(start_time={"seconds": seconds, "nanos": nanos})  # type: ignore[arg-type]
    fields = [one.field.removesuffix(".nanos") for one in moment_violations(request)]
    assert fields == ([] if valid else ["start_time"])


@pytest.mark.parametrize(
    ("seconds", "nanos", "valid"),
    [(60, 0, True), (-1, -1, True), (-1, 1, False), (315_576_000_001, 0, False), (0, 1_000_000_000, False)],
)
def test_durations(seconds: int, nanos: int, valid: bool) -> None:
    request = api_key_pb2.CreateApiKeyRequest(lifetime={"seconds": seconds, "nanos": nanos})  # type: ignore[arg-type]
    assert [one.rule for one in moment_violations(request)] == ([] if valid else ["duration.valid"])


def test_items_that_are_checked_one_by_one_are_passed_over() -> None:
    event = {"event_time": {"seconds": 1 << 60}}
    request = user_event_service_pb2.WriteUserEventsRequest(events=[event])  # type: ignore[list-item]
    assert moment_violations(request) == []
