"""One network for several things that people do with a product: multi-gate mixture of experts (Ma et al. 2018, MMoE).

Experts read the same features; each task mixes them by a gate of its own, so that tasks share what helps them both.
Clicks and carts are only known of what was shown, and more often of what was shown first: an additive bias by position
(Zhao et al. 2019, "Recommending What Video to Watch Next") takes that up while learning; serving scores everything as
in the first place. What is spent on a purchase is the matter of a further head: `amounts.py`.

Legend: B examples of a batch, N examples, F features, E experts, H hidden units, K tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.trainer.domain import Floats
from services.trainer.ranker.amounts import AmountHead, gamma_loss, has_amounts
from services.trainer.ranker.data_set import UNKNOWN, Labels, RankerData, Task
from services.trainer.ranker.errors import NothingToRank
from services.trainer.recommenders.interface import Report
from shared.features.columns import Longs

MOST_DEVIATIONS = 6.0
"""Standard deviations beyond which a feature counts no further: serving may meet values that learning did not."""
ROWS_AT_ONCE = 65_536
BIAS_RATE = 10.0


@dataclass(frozen=True, kw_only=True)
class MultiTaskConfig:
    """Shape and training."""

    experts: int = 2
    hidden: tuple[int, ...] = (128, 48)
    tower: int = 16
    dropout: float = 0.1
    positions: int = 50
    """Places with a bias of their own; later ones share the last."""
    epochs: int = 4
    batch: int = 4096
    rate: float = 2e-3
    weight_decay: float = 1e-4
    negatives: float = 12.0
    """Examples without any outcome drawn in each epoch for every one with an outcome; weights make up for the rest."""
    seed: int = 0


class MultiTaskNet(nn.Module):
    """Features f32 `[B, F]` to log-odds `[B, K]`; standardises by itself."""

    def __init__(self, config: MultiTaskConfig, features: int, tasks: int) -> None:
        super().__init__()
        self.register_buffer("mean_F", torch.zeros(features))
        self.register_buffer("scale_F", torch.ones(features))
        self.experts = nn.ModuleList(_mlp((features, *config.hidden), config.dropout) for _ in range(config.experts))
        self.gates = nn.ModuleList(nn.Linear(features, config.experts) for _ in range(tasks))
        widths = (config.hidden[-1], config.tower)
        self.towers = nn.ModuleList(
            nn.Sequential(_mlp(widths, config.dropout), nn.Linear(config.tower, 1)) for _ in range(tasks)
        )
        self.position_bias = nn.Embedding(config.positions, tasks)
        nn.init.zeros_(self.position_bias.weight)
        self.amount: AmountHead | None = None

    def standardise(self, features_NF: Tensor) -> None:
        """Learns mean and deviation; a feature without variation counts nothing."""
        deviation_F, self.mean_F = torch.std_mean(features_NF, dim=0, correction=0)
        self.scale_F = torch.where(deviation_F > 1e-6, 1.0 / deviation_F, 0.0)

    def add_amounts(self, config: MultiTaskConfig, amounts_N: Tensor) -> None:
        """Adds the head for amounts, which begins at those that are known; other random draws stay as they were."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.amount = AmountHead(len(self.mean_F), config.experts, config.hidden[-1], config.tower)
        self.amount.begin_at(amounts_N)

    def forward(self, features_BF: Tensor) -> Tensor:
        return self.odds(*self.trunk(features_BF))

    def trunk(self, features_BF: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised features `[B, F]`, and what the experts make of them `[B, E, H]`."""
        scaled_BF = ((features_BF - self.mean_F) * self.scale_F).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        return scaled_BF, torch.stack([expert(scaled_BF) for expert in self.experts], dim=1)

    def odds(self, scaled_BF: Tensor, experts_BEH: Tensor) -> Tensor:
        """Log-odds of the tasks `[B, K]`."""
        odds = []
        for gate, tower in zip(self.gates, self.towers, strict=True):
            shares_BE1 = torch.softmax(gate(scaled_BF), dim=1).unsqueeze(2)
            odds.append(tower((shares_BE1 * experts_BEH).sum(1)))
        return torch.cat(odds, dim=1)

    def biases(self, positions_B: Tensor) -> Tensor:
        """What a place adds to the log-odds, against the first place `[B, K]`; 0 where it is not known."""
        places_B = positions_B.clamp(0, self.position_bias.num_embeddings - 1)
        output: Tensor = self.position_bias(places_B) - self.position_bias.weight[0]
        return output


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiTask:
    """A network that was fitted."""

    net: MultiTaskNet
    tasks: tuple[Task, ...]
    """By column of the log-odds."""

    def logits(self, features: Floats) -> Floats:
        """Log-odds `[N, K]`, as in the first place of a list."""
        self.net.eval()
        with torch.inference_mode():
            parts = [self.net(torch.from_numpy(part)).numpy() for part in _blocks(features)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.tasks)), np.float32)

    def amounts(self, features: Floats) -> Floats | None:
        """What is spent, if it is bought, units of the shop's currency `[N]`; None: nothing was learnt of it."""
        head = self.net.amount
        if head is None:
            return None
        self.net.eval()
        with torch.inference_mode():
            parts = [head.amounts(*self.net.trunk(torch.from_numpy(part))).numpy() for part in _blocks(features)]
        amounts: Floats = np.concatenate([np.empty(0, np.float32), *parts])
        return amounts


def fit_multitask(data: RankerData, config: MultiTaskConfig, report: Report) -> MultiTask:
    """Learns all tasks of which both outcomes are known, and amounts. Raises NothingToRank when there is no task."""
    tasks = learnable(data)
    if not tasks:
        raise NothingToRank("no task has both outcomes among the examples")
    torch.manual_seed(config.seed)
    labels = data.labels[:, list(tasks)]
    net = MultiTaskNet(config, data.features.shape[1], len(tasks))
    net.standardise(torch.from_numpy(data.features))
    if has_amounts(data):
        net.add_amounts(config, torch.from_numpy(data.amounts[np.isfinite(data.amounts)]))
    sampler, random = _Sampler.of(labels, config.negatives), np.random.default_rng(config.seed)
    optimiser = _optimiser(net, config)
    steps = config.epochs * -(-sampler.size // config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    net.train()
    for epoch in range(config.epochs):
        rows, weights = sampler.draw(random)
        for start in range(0, len(rows), config.batch):
            chosen = rows[start : start + config.batch]
            scaled_BF, experts_BEH = net.trunk(torch.from_numpy(data.features[chosen]))
            odds_BK = net.odds(scaled_BF, experts_BEH) + net.biases(torch.from_numpy(data.positions[chosen]))
            weights_B = torch.from_numpy(weights[start : start + config.batch])
            loss = masked_loss(odds_BK, torch.from_numpy(labels[chosen]), weights_B)
            if net.amount is not None:
                log_amounts_B = net.amount(scaled_BF, experts_BEH.detach())
                loss = loss + gamma_loss(log_amounts_B, torch.from_numpy(data.amounts[chosen]))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        report("fit the multi-task ranker", epoch + 1, config.epochs)
    return MultiTask(net=net, tasks=tasks)


def learnable(data: RankerData) -> tuple[Task, ...]:
    """Tasks of which both outcomes are known."""
    return tuple(task for task in Task if {0, 1} <= set(np.unique(data.labels[:, task]).tolist()))


def masked_loss(odds_BK: Tensor, labels_BK: Tensor, weights_B: Tensor) -> Tensor:
    """Cross-entropy, a mean over the known outcomes of each task, summed over tasks."""
    weights_BK = weights_B.unsqueeze(1) * (labels_BK != UNKNOWN)
    losses_BK = functional.binary_cross_entropy_with_logits(odds_BK, labels_BK.clamp(min=0).float(), reduction="none")
    output: Tensor = ((weights_BK * losses_BK).sum(0) / weights_BK.sum(0).clamp(min=1e-9)).sum()
    return output


@dataclass(frozen=True, slots=True)
class _Sampler:
    """Draws the examples of an epoch: all with an outcome, and some of the others."""

    hits: Longs
    others: Longs
    count: int
    """Of the others, in an epoch."""

    @classmethod
    def of(cls, labels: Labels, negatives: float) -> _Sampler:
        hit = (labels == 1).any(axis=1)
        hits, others = np.flatnonzero(hit), np.flatnonzero(~hit)
        return cls(hits, others, min(len(others), round(negatives * len(hits))))

    @property
    def size(self) -> int:
        return len(self.hits) + self.count

    def draw(self, random: np.random.Generator) -> tuple[Longs, Floats]:
        """Examples in random order, and weights by which they stand for all."""
        rows = np.concatenate([self.hits, random.choice(self.others, self.count, replace=False)])
        weights = np.ones(self.size, np.float32)
        weights[len(self.hits) :] = len(self.others) / max(self.count, 1)
        order = random.permutation(self.size)
        return rows[order], weights[order]


def _optimiser(net: MultiTaskNet, config: MultiTaskConfig) -> torch.optim.Optimizer:
    """A place is met in few examples of a batch, so its bias takes larger steps."""
    biases = set(net.position_bias.parameters())
    shared = [parameter for parameter in net.parameters() if parameter not in biases]
    groups: list[dict[str, Any]] = [
        {"params": shared},
        {"params": list(biases), "lr": BIAS_RATE * config.rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.weight_decay)


def _mlp(widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def _blocks(features: Floats) -> list[Floats]:
    return [features[start : start + ROWS_AT_ONCE] for start in range(0, len(features), ROWS_AT_ONCE)]
