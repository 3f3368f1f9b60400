"""Resident memory of the suite's processes over time, and how fast it grows."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory of one unit. Mebibytes."""

    first_mb: float
    last_mb: float
    slope_mb_per_minute: float
    """Of the least-squares line through the second half of the samples: caches have filled by then."""


class MemoryWatch:
    """Samples while ``run`` runs. ``pids``: main process by unit; the memory of its children counts with it, but for
    those of ``alone``. Memory that processes share counts in each.
    """

    def __init__(self, pids: Mapping[str, int], *, alone: Collection[str] = (), every_seconds: float = 1.0) -> None:
        self._pids = pids
        self._alone = alone
        self._every = every_seconds
        self._samples: dict[str, list[tuple[float, float]]] = defaultdict(list)

    async def run(self) -> None:
        """Samples until cancelled."""
        while True:
            known = children()
            now = time.monotonic()
            for unit, pid in self._pids.items():
                members = [pid] if unit in self._alone else family(pid, known)
                size = sum(resident(member) for member in members)
                if size:
                    self._samples[unit].append((now, size / 2**20))
            await asyncio.sleep(self._every)

    def growth(self) -> dict[str, Growth]:
        """By unit."""
        return {unit: _growth(np.array(samples)) for unit, samples in self._samples.items() if len(samples) > 3}


def _growth(samples: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Growth:
    half = samples[len(samples) // 2 :]
    slope = float(np.polyfit(half[:, 0] - half[0, 0], half[:, 1], 1)[0]) * 60
    return Growth(float(samples[0, 1]), float(samples[-1, 1]), slope)


def children() -> Mapping[int, list[int]]:
    """Processes by their parent."""
    found: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            found[parent].append(int(folder.name))
    return found


def family(pid: int, known: Mapping[int, list[int]]) -> list[int]:
    """A process and all below it."""
    members = [pid]
    for member in members:
        members.extend(known.get(member, ()))
    return members


def resident(pid: int) -> int:
    """Resident memory in bytes; 0 for a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
