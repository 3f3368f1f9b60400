"""The table, for people and for programs."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from services.cli.faults.answers import Summary
from services.cli.faults.measure import READS, WRITES, Row

HEAD = (
    "fault",
    "how",
    "reads: full, degraded (missing), refused, late",
    "writes: stored, refused, late",
    "asks: full, refused, late",
    "longest s",
    "back after s",
    "index after s",
    "events checked",
    "lost",
    "doubled",
    "wrong products",
)


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Everything that was measured."""
    return {"machine": machine(), "faults": [asdict(row) for row in rows]}


def machine() -> str:
    """What it was measured on."""
    return f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def markdown(rows: Iterable[Row]) -> str:
    """One line a fault."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def faultless(row: Row) -> bool:
    """Whether nothing was lost, doubled or left wrong, everything came back and no call met a defect."""
    books = row.audit
    left = books.lost_events or books.doubled_events or books.lost_changes or books.wrong_in_index
    failed = any(summary.failed for summary in row.kinds.values())
    return not left and not failed and not row.problem and row.recovered_seconds is not None


def _cells(row: Row) -> list[str]:
    books = row.audit
    longest = max(summary.longest_seconds for summary in row.kinds.values())
    return [
        row.fault,
        row.how,
        _reads([row.kinds[kind] for kind in READS]),
        _others([row.kinds[kind] for kind in WRITES]),
        _others([row.kinds["ask"]]),
        f"{longest:.1f}",
        _seconds(row.recovered_seconds),
        _seconds(row.index_seconds) + (f" ({row.problem})" if row.problem else ""),
        f"{books.acknowledged_events:,}",
        str(len(books.lost_events) + len(books.lost_changes)),
        str(len(books.doubled_events)),
        str(len(books.wrong_in_index)),
    ]


def _reads(summaries: Sequence[Summary]) -> str:
    missing = sum((Counter(one.missing) for one in summaries), Counter[str]())
    stages = ", ".join(name for name, _ in missing.most_common())
    degraded = sum(one.degraded for one in summaries)
    named = f"{degraded} ({stages})" if stages else str(degraded)
    return f"{sum(one.full for one in summaries)}, {named}, {_endings(summaries)}"


def _others(summaries: Sequence[Summary]) -> str:
    return f"{sum(one.full for one in summaries)}, {_endings(summaries)}"


def _endings(summaries: Sequence[Summary]) -> str:
    refused = sum((Counter(one.refused) for one in summaries), Counter[str]())
    failed = sum((Counter(one.failed) for one in summaries), Counter[str]())
    codes = ", ".join(f"{count} {code}" for code, count in refused.most_common()) or "0"
    late = str(sum(one.late for one in summaries))
    return f"{codes}, {late}" + "".join(f", **{count} {code}**" for code, count in failed.items())


def _seconds(value: float | None) -> str:
    return "**not**" if value is None else f"{value:.1f}"
