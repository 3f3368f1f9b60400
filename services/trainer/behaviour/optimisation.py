"""AdamW, its schedule, and the running mean of weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserConfig:
    """AdamW (Loshchilov and Hutter, 2019) with warm-up and cosine decay."""

    rate: float = 1e-3
    weight_decay: float = 0.01
    """On matrices; not on norms and biases."""
    betas: tuple[float, float] = (0.9, 0.98)
    warmup_share: float = 0.05
    """Of the training, during which the rate rises from 0."""
    final_share: float = 0.02
    """Of the rate, at the end of the cosine."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    average_decay: float = 0.0
    """Per step, of the exponential running mean of weights that is kept as the model; 0: the last weights."""


def optimiser_of(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """Decay on tensors of two dimensions and more."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.rate, betas=config.betas, foreach=True)


def rate_at(progress: float, config: OptimiserConfig) -> float:
    """The learning rate when this share [0, 1] of the training is done."""
    if progress < config.warmup_share:
        return config.rate * progress / config.warmup_share
    done = min((progress - config.warmup_share) / max(1.0 - config.warmup_share, 1e-9), 1.0)
    cosine = 0.5 * (1.0 + math.cos(math.pi * done))
    return config.rate * (config.final_share + (1.0 - config.final_share) * cosine)


class RunningMean:
    """Exponential running mean of parameters, whose window grows with the steps so that the start does not linger."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.means: list[Tensor] = [parameter.detach().clone() for parameter in self.parameters]

    def update(self, step: int) -> None:
        """After step number `step`, counted from 1."""
        decay = min(self.decay, step / (step + 10.0))
        torch._foreach_lerp_(self.means, [parameter.detach() for parameter in self.parameters], 1.0 - decay)

    def swap(self) -> None:
        """Exchanges the means with the parameters; a second call takes it back."""
        for mean, parameter in zip(self.means, self.parameters, strict=True):
            held = parameter.detach().clone()
            parameter.data.copy_(mean)
            mean.copy_(held)
