"""Checkpoints: safetensors and JSON, whole or not there at all.

The tensors go to a file of their own, then the JSON file that names it is replaced in one step: whenever a training is
killed, the folder holds one complete checkpoint or none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

INDEX = "checkpoint.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a training is."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    """Batches of the epoch that are done."""
    seconds: float = 0.0
    loss: float = 0.0
    """Running mean over the last steps."""
    best: float = -1.0
    """Validation's best nDCG@10; -1 before the first."""
    stale: int = 0
    """Validations since the best."""
    history: tuple[float, ...] = ()
    """Validation's nDCG@10 after each epoch."""
    bf16: bool = False
    fingerprint: str = ""
    """Of configuration and data; a checkpoint of others is not taken up."""


def save(folder: Path, position: Position, tensors: Mapping[str, Tensor]) -> None:
    """Replaces the folder's checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"checkpoint-{position.step}.safetensors"
    write(folder / name, lambda path: save_file({key: value.contiguous() for key, value in tensors.items()}, path))
    index = orjson.dumps({"tensors": name, **asdict(position)}, option=orjson.OPT_INDENT_2)
    write(folder / INDEX, lambda path: path.write_bytes(index))
    for old in folder.glob("checkpoint-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(folder: Path, fingerprint: str) -> tuple[Position, dict[str, Tensor]] | None:
    """The checkpoint of the same configuration and data, or None."""
    path = folder / INDEX
    if not path.is_file():
        return None
    index = orjson.loads(path.read_bytes())
    if index["fingerprint"] != fingerprint:
        return None
    tensors = load_file(folder / index.pop("tensors"))
    return Position(**{**index, "history": tuple(index["history"])}), tensors


def clear(folder: Path) -> None:
    """Removes a finished training's checkpoint."""
    (folder / INDEX).unlink(missing_ok=True)
    for path in folder.glob("checkpoint-*.safetensors*"):
        path.unlink()


def write(path: Path, writer: Any) -> None:
    """Writes beside the path, flushes to the disk, then renames: readers see the old file or the new one."""
    partial = path.with_name(path.name + ".partial")
    writer(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of the optimiser by number of the parameter."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{number}.{key}": value for number, part in state.items() for key, value in part.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Takes back what `optimiser_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in part(tensors, "optimiser").items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it."""
    return {name.removeprefix(prefix + "."): value for name, value in tensors.items() if name.startswith(prefix + ".")}
