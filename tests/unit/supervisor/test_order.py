from graphlib import CycleError

import pytest

from services.supervisor.domain import Need
from services.supervisor.order import start_levels, stop_levels
from services.supervisor.services import BACKING, SERVICES

ALL = {**dict.fromkeys(BACKING, ()), **SERVICES}


def test_every_unit_starts_after_what_it_needs() -> None:
    position = {unit: level for level, units in enumerate(start_levels(ALL)) for unit in units}
    assert set(position) == set(ALL)
    for unit, needs in ALL.items():
        assert all(position[need.unit] < position[unit] for need in needs)


def test_the_gateway_stops_first_and_backing_systems_last() -> None:
    levels = stop_levels(ALL)
    assert levels[0] == ["gateway"]
    assert set(levels[-1]) == set(BACKING)


def test_needs_outside_the_selection_are_left_out() -> None:
    assert start_levels({"encoder": (Need("triton"),)}) == [["encoder"]]


def test_units_that_need_each_other_are_refused() -> None:
    with pytest.raises(CycleError):
        start_levels({"a": (Need("b"),), "b": (Need("a"),)})
