"""In which order units start and stop."""

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from services.supervisor.domain import Need


def start_levels(needs: Mapping[str, Iterable[Need]]) -> list[list[str]]:
    """Groups of units: each needs only units of earlier groups. Needs outside the mapping are left out.

    Raises graphlib.CycleError when units need each other.
    """
    sorter = TopologicalSorter(
        {unit: {need.unit for need in wanted if need.unit in needs} for unit, wanted in needs.items()}
    )
    sorter.prepare()
    levels: list[list[str]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        levels.append(ready)
        sorter.done(*ready)
    return levels


def stop_levels(needs: Mapping[str, Iterable[Need]]) -> list[list[str]]:
    """The start order from its end: nothing stops before those that need it."""
    return start_levels(needs)[::-1]
