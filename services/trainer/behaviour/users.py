"""The user encoder: a sequence of product vectors in, a user's vector out.

A causal transformer after SASRec (Kang and McAuley, 2018), or a bidirectional one with a mask token after BERT4Rec
(Sun et al., 2019). Products enter as vectors, so that one the model never saw works as well.

Legend: B sequences, L places (left padded: the latest event is the last), D width, N places that are asked about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from services.trainer.behaviour.blocks import GatedBlock
from services.trainer.behaviour.dropout import Dropout

KINDS = 16
"""Numbers of event kinds are below it; 0 is padding."""
MASK_KIND = 1
"""The kind of the mask token; no event that names products has this number."""
AGE_BUCKETS = 32
"""Buckets of a half power of two seconds from 16 seconds on: the last begins after 8 days."""
BUCKETS_A_DOUBLING = 1.5
FORBIDDEN = -1e4
"""Added to logits; finite, so that places of padding yield numbers too, and small enough for 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEncoderConfig:
    """Shape of the transformer, and what it may know of time."""

    dimension: int = 64
    length: int = 200
    """Latest events that are read."""
    blocks: int = 2
    heads: int = 2
    expansion: float = 2.0
    """Width of the feed-forward layer by the width."""
    dropout: float = 0.2
    gaps: bool = True
    """Reads the time between events. False where data have no times."""
    query_time: bool = True
    """Reads the time between the latest event and the request. Benchmarks without times must not."""
    causal: bool = True
    """False: bidirectional with a mask token at the end, for the masked objective."""


class UserEncoder(nn.Module):
    """Product vectors, kinds and ages to vectors of users."""

    def __init__(self, config: UserEncoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.dimension
        self.kinds = nn.Embedding(KINDS, width)
        self.positions = nn.Embedding(config.length + 1, width)
        self.gaps = nn.Embedding(AGE_BUCKETS, width) if config.gaps else None
        self.waits = nn.Embedding(AGE_BUCKETS, width) if config.query_time else None
        self.mask = None if config.causal else nn.Parameter(torch.zeros(width))
        for table in (self.kinds, self.positions, self.gaps, self.waits):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)
        self.scale = math.sqrt(width)
        """Lifts product vectors, which start small, to the size of what blocks add to them."""
        inner = int(config.expansion * width)
        self.blocks = nn.ModuleList(
            GatedBlock(width, config.heads, inner, config.dropout) for _ in range(config.blocks)
        )
        self.dropout = Dropout(config.dropout)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, width)

    def states(self, vectors_BLD: Tensor, kinds_BL: Tensor, ages_BL: Tensor) -> Tensor:
        """Hidden states `[B, L, D]`; those of padding mean nothing."""
        valid_BL = kinds_BL > 0
        if self.mask is not None:
            vectors_BLD = torch.where(
                (kinds_BL == MASK_KIND).unsqueeze(2), self.mask.to(vectors_BLD.dtype), vectors_BLD
            )
        from_end_BL = valid_BL.long().flip(1).cumsum(1).flip(1) - 1
        x_BLD = (
            vectors_BLD * self.scale + self.kinds(kinds_BL) + self.positions(from_end_BL.clamp(0, self.config.length))
        )
        if self.gaps is not None:
            gaps_BL = torch.cat([torch.zeros_like(ages_BL[:, :1]), ages_BL[:, :-1] - ages_BL[:, 1:]], dim=1)
            first_BL = valid_BL & (valid_BL.long().cumsum(1) == 1)
            x_BLD = x_BLD + self.gaps(age_buckets(gaps_BL.masked_fill(first_BL, 0.0)))
        x_BLD = self.dropout(x_BLD)
        mask_B1LL = attention_mask(valid_BL, self.config.causal)
        for block in self.blocks:
            x_BLD = block(x_BLD, mask_B1LL)
        normed: Tensor = self.norm(x_BLD)
        return normed

    def heads(self, states_ND: Tensor, waits_N: Tensor) -> Tensor:
        """Users' vectors `[N, D]` from states and seconds between each state's event and the request."""
        if self.waits is not None:
            states_ND = states_ND + self.waits(age_buckets(waits_N))
        output: Tensor = self.head(states_ND)
        return output

    def forward(self, vectors_BLD: Tensor, kinds_BL: Tensor, ages_BL: Tensor) -> Tensor:
        """Vectors of users `[B, D]` at age 0: what is exported. Events of the future (ages below 0) are padding."""
        kinds_BL = kinds_BL * (ages_BL >= 0)
        vectors_BLD = vectors_BLD * (kinds_BL > 0).unsqueeze(2)
        ages_BL = ages_BL * (kinds_BL > 0)
        if self.mask is not None:
            vectors_BLD = torch.cat([vectors_BLD, torch.zeros_like(vectors_BLD[:, :1])], dim=1)
            kinds_BL = torch.cat([kinds_BL, torch.full_like(kinds_BL[:, :1], MASK_KIND)], dim=1)
            ages_BL = torch.cat([ages_BL, torch.zeros_like(ages_BL[:, :1])], dim=1)
        return self.heads(self.states(vectors_BLD, kinds_BL, ages_BL)[:, -1], ages_BL[:, -1])


def age_buckets(seconds: Tensor) -> Tensor:
    """Logarithmic buckets of a duration: 0 below 16 s, the last from about 1.5 years on."""
    doublings = torch.log2(seconds.clamp(min=0.0) / 16.0 + 1.0)
    return (doublings * BUCKETS_A_DOUBLING).long().clamp(0, AGE_BUCKETS - 1)


def attention_mask(valid_BL: Tensor, causal: bool) -> Tensor:
    """What is added to logits `[B, 1, L, L]`: keys that are events, not later than the query if `causal`."""
    length = valid_BL.shape[1]
    places = torch.arange(length, device=valid_BL.device)
    allowed_BLL = valid_BL.unsqueeze(1).expand(-1, length, -1)
    if causal:
        allowed_BLL = allowed_BLL & (places.unsqueeze(0) <= places.unsqueeze(1))
    return torch.where(allowed_BLL, 0.0, FORBIDDEN).unsqueeze(1)
