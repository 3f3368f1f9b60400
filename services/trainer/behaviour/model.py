"""The behaviour model: items, users and the loss between them, in one module.

Legend: B sequences, L places, N pairs, C candidates, K rows of the step's table of product vectors, D width,
P products.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from services.trainer.behaviour.features import ItemFeatures
from services.trainer.behaviour.items import ItemEncoder, ItemEncoderConfig
from services.trainer.behaviour.losses import (
    HIT,
    LossConfig,
    LossKind,
    full_softmax,
    gbce,
    gbce_power,
    sampled_softmax,
)
from services.trainer.behaviour.objectives import Batch
from services.trainer.behaviour.users import UserEncoder, UserEncoderConfig

COUNT_SMOOTHING = 0.5
POPULARITY_SCALE = 0.25
"""Keeps the component in the range of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Items, users and the loss."""

    items: ItemEncoderConfig = field(default_factory=ItemEncoderConfig)
    users: UserEncoderConfig = field(default_factory=UserEncoderConfig)
    loss: LossConfig = field(default_factory=LossConfig)


class BehaviourModel(nn.Module):
    """Product vectors and user vectors in one space: the inner product orders products for a user."""

    counts: Tensor

    def __init__(self, config: ModelConfig, features: ItemFeatures, counts_P: Tensor) -> None:
        """`counts_P`: how often each product is a target; negatives are drawn by it."""
        super().__init__()
        self.config = config
        self.items = ItemEncoder(config.items, features, config.users.dimension)
        self.users = UserEncoder(config.users)
        self.register_buffer("bought", counts_P.nonzero().squeeze(1), persistent=False)
        chances = counts_P[counts_P > 0].double() ** config.loss.popularity_power
        self.register_buffer("chances", chances / chances.sum(), persistent=False)

    def start_with_popularity(self, counts_P: Tensor) -> None:
        """Lets training begin with the popular list for everybody, so that it learns how people differ from it.

        The first component of product vectors becomes the logarithm of (smoothed) counts, and users begin with the
        component that makes scores of it.
        """
        logs_P = (counts_P.float() + COUNT_SMOOTHING).log()
        with torch.no_grad():
            self.items.ids.weight[:, 0] = (logs_P - logs_P.mean()) * POPULARITY_SCALE
            self.items.clear_content_component(0)
            self.users.head.weight.zero_()
            self.users.head.bias.zero_()
            self.users.head.bias[0] = 1.0 / POPULARITY_SCALE

    def forward(self, batch: Batch) -> Tensor:
        """Mean loss of a batch's pairs. Only products with targets are candidates: new ones are not pushed away."""
        drawn_C = self._drawn()
        candidates_C = self.bought[drawn_C]  # type: ignore[index]
        wanted = torch.cat([batch.products.flatten(), batch.targets, candidates_C])
        ids_K, places = torch.unique(wanted, return_inverse=True)
        table_KD = self.items(ids_K)
        inputs, targets_N, negatives_C = places.split([batch.products.numel(), len(batch.targets), len(drawn_C)])
        vectors_BLD = nn.functional.embedding(inputs.view(batch.products.shape), table_KD)
        states_BLD = self.users.states(vectors_BLD, batch.kinds, batch.ages_s)
        users_ND = self.users.heads(states_BLD[batch.rows, batch.places], batch.waits_s)
        met_NL = inputs.view(batch.products.shape)[batch.rows]
        loss = self._loss(users_ND, table_KD, (targets_N, negatives_C, met_NL), (batch.weights, drawn_C))
        return loss / batch.weights.sum().clamp(min=1.0)

    def _drawn(self) -> Tensor:
        """Positions in `bought` of the candidates."""
        chances: Tensor = self.chances  # type: ignore[assignment]
        if self.config.loss.kind is LossKind.FULL_SOFTMAX:
            return torch.arange(len(chances), device=chances.device)
        return torch.multinomial(chances, self.config.loss.negatives, replacement=True)

    def _loss(
        self, users_ND: Tensor, table_KD: Tensor, rows: tuple[Tensor, Tensor, Tensor], rest: tuple[Tensor, Tensor]
    ) -> Tensor:
        """`rows` of the table: targets `[N]`, candidates `[C]`, what the sequence of each pair holds `[N, L]`."""
        (targets_N, negatives_C, met_NL), (weights_N, drawn_C), config = rows, rest, self.config.loss
        if config.kind is LossKind.FULL_SOFTMAX:
            columns = torch.full((len(table_KD),), -1, dtype=torch.int64, device=table_KD.device)
            columns[negatives_C] = torch.arange(len(negatives_C), device=table_KD.device)
            targets_N, excluded_NL = columns[targets_N], None
            if config.exclude_met:
                excluded_NL = columns[met_NL]  # what was never a target is no candidate: the target stands in
                excluded_NL = torch.where(excluded_NL < 0, targets_N.unsqueeze(1), excluded_NL)
            return full_softmax(users_ND, table_KD[negatives_C], targets_N, weights_N, excluded_NL)
        positive_N = (users_ND * table_KD[targets_N].to(users_ND.dtype)).sum(1).float()
        negatives_NC = (users_ND @ table_KD[negatives_C].T.to(users_ND.dtype)).float()
        negatives_NC = negatives_NC.masked_fill(targets_N.unsqueeze(1) == negatives_C, HIT)
        if config.kind is LossKind.GBCE:
            power = gbce_power(config.calibration, config.negatives, len(self.chances))  # type: ignore[arg-type]
            return gbce(positive_N, negatives_NC, weights_N, power)
        expected_C = (self.chances[drawn_C] * config.negatives).log().float()  # type: ignore[index]
        return sampled_softmax(positive_N, negatives_NC, weights_N, expected_C if config.log_q else 0 * expected_C)
