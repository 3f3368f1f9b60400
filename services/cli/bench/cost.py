"""What a call and a stored thing cost: processor time and memory by unit, bytes by table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from services.cli.bench.memory import children, family, resident

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
TABLES = {
    "product": ("SELECT count(*) FROM catalog.products", "catalog"),
    "event": ("SELECT count(*) FROM profile.events", "profile"),
}
_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'm')
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """Things of one kind in PostgreSQL, with the indexes and everything else of their schema."""

    count: int
    bytes: int

    @property
    def bytes_each(self) -> float:
        """Mean."""
        return self.bytes / max(self.count, 1)


def cpu_ms(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor time that each unit, its children included, has taken since it started. Milliseconds."""
    known = children()
    return {unit: sum(_cpu_ms(member) for member in family(pid, known)) for unit, pid in pids.items()}


def resident_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """Resident memory of each unit, its children included. Mebibytes."""
    known = children()
    return {unit: sum(resident(member) for member in family(pid, known)) / 2**20 for unit, pid in pids.items()}


def each_call(before: Mapping[str, float], after: Mapping[str, float], calls: int) -> dict[str, float]:
    """Processor time of one call by unit; units that took less than 0.05 ms are left out."""
    spent = {unit: (after[unit] - before[unit]) / max(calls, 1) for unit in before if unit in after}
    return {unit: took for unit, took in sorted(spent.items(), key=lambda row: -row[1]) if took >= 0.05}


def stored(dsn: str) -> dict[str, Stored]:
    """By kind. Raises psycopg.Error."""
    found = {}
    with psycopg.connect(dsn) as connection:
        for kind, (count, schema) in TABLES.items():
            (number,) = connection.execute(count).fetchone() or (0,)
            (size,) = connection.execute(_SIZE, [schema]).fetchone() or (0,)
            found[kind] = Stored(int(number), int(size))
    return found


def _cpu_ms(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_MS
