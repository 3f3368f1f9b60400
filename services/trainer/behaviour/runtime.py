"""Where a training runs: device, number format, and its place among the processes that torchrun started."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from services.trainer.behaviour.model import BehaviourModel

RACE_SHAPE = (2048, 256, 256)
RACE_ROUNDS = 5


class Precision(StrEnum):
    """Number format of matrix products; parameters and the optimiser hold 32 bits always."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Decided once a training."""

    device: torch.device
    bf16: bool
    rank: int = 0
    world: int = 1

    @classmethod
    def detect(cls, precision: Precision = Precision.AUTO) -> Runtime:
        """A GPU if there is one; 16 bits where they are faster; rank and world of an initialised process group."""
        grouped = distributed.is_available() and distributed.is_initialized()
        rank, world = (distributed.get_rank(), distributed.get_world_size()) if grouped else (0, 1)
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            return cls(device=device, bf16=precision is not Precision.FP32, rank=rank, world=world)
        faster = precision is Precision.BF16 or (precision is Precision.AUTO and bf16_is_faster())
        return cls(device=torch.device("cpu"), bf16=faster, rank=rank, world=world)

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and reports."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """For forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def wrapped(self, model: BehaviourModel) -> nn.Module:
        """The module to call: blocks compiled on a GPU, gradients averaged when there are several processes."""
        if self.device.type == "cuda":
            for block in model.users.blocks:
                block.compile(dynamic=True)  # the blocks alone: the rest has sizes that depend on the data
        return model if self.world == 1 else DistributedDataParallel(model)

    def agreed(self, value: float) -> float:
        """The leading process's value, in all processes."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, src=0)
        return float(shared.item())


@contextmanager
def process_group() -> Iterator[None]:
    """Joins the processes of torchrun (gloo on CPUs, NCCL on GPUs); nothing to do in a process of its own."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def bf16_is_faster() -> bool:
    """Races two products: processors without 16-bit units emulate them, several times slower."""
    return _race(torch.bfloat16) < _race(torch.float32)


def _race(number: torch.dtype) -> float:
    rows, inner, columns = RACE_SHAPE
    left, right = torch.ones(rows, inner, dtype=number), torch.ones(inner, columns, dtype=number)
    times = []
    for _ in range(RACE_ROUNDS):
        start = time.perf_counter()
        _ = left @ right
        times.append(time.perf_counter() - start)
    return min(times)
