"""Items that were not stored: counted, and written with their line and the broken rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import orjson
from mercato.errors.v1.error_reason_pb2 import ErrorReason
from mercato.gateway.v1.item_result_pb2 import ItemError


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule; ``rule`` is the schema's id, or ``line.…`` and ``field.…`` for what was never sent."""

    field: str
    description: str
    rule: str


@dataclass(frozen=True, slots=True)
class Reject:
    """One item that was not stored. ``line`` counts from 1; for Parquet it is the row."""

    file: str
    line: int
    item_id: str
    reason: str
    message: str
    violations: tuple[Violation, ...] = ()


class RejectsFile:
    """Writes rejects as JSON Lines; the file is made with the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.rules: Counter[str] = Counter()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, reject: Reject) -> None:
        """Writes one reject."""
        if self._file is None:
            self._file = self.path.open("wb")
        self.count += 1
        self.rules.update(_labels(reject))
        self._file.write(orjson.dumps(asdict(reject), option=orjson.OPT_APPEND_NEWLINE))


def from_gateway(error: ItemError, file: str, line: int) -> Reject:
    """What the gateway said of one item."""
    reason = ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")
    violations = tuple(Violation(item.field, item.description, item.rule) for item in error.violations)
    return Reject(file, line, error.item_id, reason, error.message, violations)


def from_line(file: str, line: int, item_id: str, violations: Sequence[Violation]) -> Reject:
    """What is wrong with a line before it is sent."""
    first = violations[0]
    head = f"{first.field}: {first.description}" if first.field else first.description
    return Reject(file, line, item_id, "INVALID_REQUEST", head, tuple(violations))


def _labels(reject: Reject) -> list[str]:
    return [f"{item.field} {item.rule}".strip() for item in reject.violations] or [reject.reason]
