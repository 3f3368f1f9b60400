"""The head that foretells how much a person spends on a product within the horizon, given that they buy it.

A regression of the logarithm would foretell the geometric mean and need a correction for what the spread adds (the
smearing estimate, Duan 1983), right only where the spread is the same everywhere. Here the mean itself is fitted: the
Gamma deviance with a log link (McCullagh & Nelder 1989; against the retransformed logarithm: Manning & Mullahy 2001),
whose errors count in proportion to the amount. Only examples that were bought, at a price that is known, count.

The head mixes the network's experts by a gate of its own and reads the features beside them. It passes no gradient on
to the experts: what an amount teaches must not move the order by probability.

Legend: B examples of a batch, N examples, F features, E experts, H hidden units, K tasks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from services.trainer.domain import Floats
from services.trainer.ranker.data_set import RankerData, Task

LEAST_EXAMPLES = 100
"""With fewer amounts the price says more than a head that learnt from them."""
EXTREMES = (0.001, 0.999)
"""Quantiles of the amounts beyond which none is foretold: serving may meet values that learning did not."""
SMALLEST = 0.01
PRIOR = 20.0
"""Purchases as foretold that the level is pulled towards."""


class AmountHead(nn.Module):
    """Standardised features and experts to the log of the amount `[B]`; begins as the mean of all."""

    def __init__(self, features: int, experts: int, hidden: int, tower: int) -> None:
        super().__init__()
        self.level: Tensor
        self.low: Tensor
        self.high: Tensor
        self.gate = nn.Linear(features, experts)
        self.tower = nn.Sequential(nn.Linear(hidden + features, tower), nn.ReLU())
        self.output = nn.Linear(tower + features, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def begin_at(self, amounts_N: Tensor) -> None:
        """Takes level and bounds from amounts that are known."""
        self.level = amounts_N.mean().clamp(min=SMALLEST).log()
        bounds = torch.quantile(amounts_N, torch.tensor(EXTREMES)).clamp(min=SMALLEST).log()
        self.low, self.high = bounds[0], bounds[1]

    def forward(self, scaled_BF: Tensor, experts_BEH: Tensor) -> Tensor:
        shares_BE1 = torch.softmax(self.gate(scaled_BF), dim=1).unsqueeze(2)
        mixed_BH = (shares_BE1 * experts_BEH).sum(1)
        tower = self.tower(torch.cat([mixed_BH, scaled_BF], dim=1))
        output: Tensor = self.level + self.output(torch.cat([tower, scaled_BF], dim=1)).squeeze(1)
        return output

    def amounts(self, scaled_BF: Tensor, experts_BEH: Tensor) -> Tensor:
        """Amounts within the bounds, units of the shop's currency `[B]`."""
        output: Tensor = self(scaled_BF, experts_BEH).clamp(self.low, self.high).exp()
        return output


def gamma_loss(log_amounts_B: Tensor, amounts_B: Tensor) -> Tensor:
    """Half the unit Gamma deviance of known amounts, up to what no fit changes: mean of y / m + ln m; 0 for none."""
    known_B = ~amounts_B.isnan()
    losses_B = amounts_B.nan_to_num() * torch.exp(-log_amounts_B) + log_amounts_B
    output: Tensor = (losses_B * known_B).sum() / known_B.sum().clamp(min=1)
    return output


def has_amounts(data: RankerData) -> bool:
    """Whether there is enough to learn amounts from."""
    return int(np.isfinite(data.amounts).sum()) >= LEAST_EXAMPLES


def level_of(foretold: Floats, paid: Floats) -> float:
    """The factor by which amounts foretold `[N]` have the sum of what was paid, where it is known."""
    known = np.isfinite(paid)
    prior = PRIOR * float(foretold[known].mean()) if known.any() else 1.0
    return (float(paid[known].sum(dtype=np.float64)) + prior) / (float(foretold[known].sum(dtype=np.float64)) + prior)


def revenue_calibration(data: RankerData, scores: Floats, amounts: Floats) -> dict[str, float]:
    """What was foretold over what was paid: of purchases made, and of all candidates (1: right in sum).

    `scores` are probabilities `[N, K]`, the first column that of a purchase.
    """
    paid = np.isfinite(data.amounts)
    total = float(data.amounts[paid].sum(dtype=np.float64))
    if total <= 0.0:
        return {}
    told = paid | (data.labels[:, Task.PURCHASE] == 0)
    expected = scores[:, 0].astype(np.float64) * amounts
    return {
        "amounts_foretold_to_paid": float(amounts[paid].sum(dtype=np.float64)) / total,
        "revenue_foretold_to_paid": float(expected[told].sum()) / total,
    }
