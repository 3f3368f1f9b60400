"""Dropout that is fast on a CPU.

torch draws one random number an element, one thread, which takes longer on a CPU than the matrix products around it.
One random byte an element is enough: the probability is rounded to 1/256, and the scale makes up for it exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 256


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al., 2014) with probability `p` in [0, 1)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.p)
        dropped = round(self.p * LEVELS)
        kept = (random_bytes(x.numel()).view(x.shape) >= dropped).to(x.dtype).mul_(LEVELS / (LEVELS - dropped))
        return x * kept


def random_bytes(count: int) -> Tensor:
    """uint8 [count], uniform, from torch's generator."""
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.uint8)[:count]
