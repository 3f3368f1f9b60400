"""What the trainer and its job hand each other: a folder with order, data set, current release and outcome.

```
order.json     what to do
data/          the data set (services.trainer.datasets.store)
current/       artifacts of the current release; absent when there is none
early/         the behaviour model by which the ranker learns; not released
checkpoints/   where a job that was killed goes on
output/        artifacts of the new release; those of repeated messages with the suffix .parts
result.json    counts, metrics and gate; written last
```
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.trainer.domain import Gate, Metric, TrainingKind

ORDER, DATA, CURRENT, CHECKPOINTS, OUTPUT, RESULT = (
    "order.json",
    "data",
    "current",
    "checkpoints",
    "output",
    "result.json",
)
PARTS = ".parts"
CHUNK_BYTES = 1 << 20
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a job shall do."""

    kind: TrainingKind
    neighbours: int
    least_purchases: int
    behaviour_seconds: float
    """Longest training of the behaviour model."""
    threads: int
    learnt_until_s: int = 0
    """What the current release learnt from ends here, seconds since 1970; 0: there is none."""

    def write(self, folder: Path) -> None:
        """Writes `order.json`."""
        (folder / ORDER).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Order:
        """Reads `order.json`. Raises OSError, ValueError, TypeError when it is not one."""
        values: dict[str, Any] = json.loads((folder / ORDER).read_text(encoding="utf-8"))
        return cls(**{**values, "kind": TrainingKind(values["kind"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job says of the release that it made."""

    data_end_time_s: int
    purchase_count: int
    user_count: int
    product_count: int
    pair_count: int
    metrics: tuple[Metric, ...] = ()
    gate: Gate | None = None

    def write(self, folder: Path) -> None:
        """Writes `result.json`, whole or not at all."""
        draft = folder / f".{RESULT}"
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        draft.replace(folder / RESULT)

    @classmethod
    def read(cls, folder: Path) -> Result:
        """Reads `result.json`. Raises OSError when the job did not come to its end."""
        values: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        gate = values.pop("gate")
        metrics = tuple(Metric(**one) for one in values.pop("metrics"))
        return cls(**values, metrics=metrics, gate=Gate(gate["passed"], tuple(gate["checks"])) if gate else None)


def write_parts(folder: Path, name: str, parts: Iterable[bytes]) -> None:
    """Writes an artifact of several messages, each after its length (32 bits, little endian)."""
    with (folder / f"{name}{PARTS}").open("wb") as file:
        for part in parts:
            file.write(_LENGTH.pack(len(part)))
            file.write(part)


def read_artifacts(folder: Path) -> dict[str, Sequence[bytes]]:
    """All artifacts of a folder in the parts in which they are stored and streamed."""
    return {
        path.name.removesuffix(PARTS): _messages(path.read_bytes()) if path.name.endswith(PARTS) else _chunks(path)
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def _messages(content: bytes) -> list[bytes]:
    found, start = [], 0
    while start < len(content):
        (length,) = _LENGTH.unpack_from(content, start)
        start += _LENGTH.size
        found.append(content[start : start + length])
        start += length
    return found


def _chunks(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)] or [b""]
