"""Gated transformer blocks.

Pre-norm attention and SwiGLU, each behind a sigmoid gate of its input, as in LiGR (Borisyuk et al., 2025) and eSASRec
(Tikhonovich et al., 2025).

Legend: B sequences, L places of a sequence, D width, H heads, F width inside the feed-forward layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.trainer.behaviour.dropout import Dropout


class Attention(nn.Module):
    """Multi-head self-attention; `mask_B1LL` is added to the logits."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)

    def forward(self, x_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        batch, length, width = x_BLD.shape
        qkv = self.inward(x_BLD).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if x_BLD.device.type == "cpu":
            # plain products: torch's fused kernel for CPUs takes twice as long at these lengths
            logits_BHLL = query @ key.transpose(-1, -2) * (1.0 / math.sqrt(width // self.heads))
            mixed_BHLE = (logits_BHLL + mask_B1LL.to(logits_BHLL.dtype)).softmax(-1).to(value.dtype) @ value
        else:
            mixed_BHLE = functional.scaled_dot_product_attention(query, key, value, mask_B1LL.to(query.dtype))
        output: Tensor = self.outward(mixed_BHLE.transpose(1, 2).reshape(batch, length, width))
        return output


class SwiGlu(nn.Module):
    """Feed-forward layer (Shazeer, 2020)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.inward = nn.Linear(width, 2 * inner, bias=False)
        self.outward = nn.Linear(inner, width, bias=False)

    def forward(self, x_BLD: Tensor) -> Tensor:
        gate_BLF, value_BLF = self.inward(x_BLD).chunk(2, dim=-1)
        output: Tensor = self.outward(functional.silu(gate_BLF) * value_BLF)
        return output


class GatedBlock(nn.Module):
    """x + gate(x) * attention(norm(x)), then the same with the feed-forward layer."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.attention_gate = nn.Linear(width, width)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = SwiGlu(width, inner)
        self.forward_gate = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        attended_BLD = self.attention(self.attention_norm(x_BLD), mask_B1LL)
        x_BLD = x_BLD + self.dropout(attended_BLD * torch.sigmoid(self.attention_gate(x_BLD)))
        transformed_BLD = self.feed_forward(self.forward_norm(x_BLD))
        output: Tensor = x_BLD + self.dropout(transformed_BLD * torch.sigmoid(self.forward_gate(x_BLD)))
        return output
