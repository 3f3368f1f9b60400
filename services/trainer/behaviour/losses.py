"""Losses over pairs of a user's vector and the product that was right.

Full softmax; sampled softmax with negatives shared by the whole batch, optionally corrected for how they were drawn
(logQ; Bengio and Senecal, 2008; Yi et al., 2019); gBCE (Petrov and Macdonald, 2023), which undoes the overconfidence
that negative sampling gives binary cross-entropy.

Legend: N pairs, D width, C candidates (all products of a full softmax, the negatives of the others).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 512
"""Pairs whose logits are held at once: 512 rows of some thousand products stay in a processor's cache."""
HIT = -1e4
"""Logit of a candidate that does not compete."""


class LossKind(StrEnum):
    """Which of the three."""

    FULL_SOFTMAX = "full_softmax"
    SAMPLED_SOFTMAX = "sampled_softmax"
    GBCE = "gbce"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """The loss and its negatives."""

    kind: LossKind = LossKind.SAMPLED_SOFTMAX
    negatives: int = 512
    """Drawn once a step, with replacement, for all pairs; unused by the full softmax."""
    popularity_power: float = 0.5
    """Negatives are drawn in proportion to (rows of the product) to this power: 0 uniform, 1 by frequency."""
    log_q: bool = True
    """Makes the sampled softmax an estimate of the full one whatever the power."""
    calibration: float = 0.75
    """t of gBCE: 0 plain binary cross-entropy, 1 fully calibrated."""
    exclude_met: bool = False
    """Leaves the products of a sequence out of its competition, where only new products are foretold: otherwise the
    model learns that what most people know is seldom new. Full softmax only."""


def full_softmax(
    users_ND: Tensor, items_CD: Tensor, targets_N: Tensor, weights_N: Tensor, excluded_NL: Tensor | None = None
) -> Tensor:
    """Weighted sum of cross-entropies over all candidates, without ever holding all logits.

    `excluded_NL`: candidates that don't compete with a pair's target; the target itself may be among them.
    """
    arguments = (users_ND, items_CD, targets_N, weights_N, excluded_NL)
    loss: Tensor = _ChunkedCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss


def sampled_softmax(positive_N: Tensor, negatives_NC: Tensor, weights_N: Tensor, log_expected_C: Tensor) -> Tensor:
    """Weighted sum over one positive and C negatives; `log_expected_C`: log of how often each was expected."""
    logits_NC1 = torch.cat([positive_N.unsqueeze(1), negatives_NC - log_expected_C], dim=1)
    return ((logits_NC1.logsumexp(1) - positive_N) * weights_N).sum()


def gbce(positive_N: Tensor, negatives_NC: Tensor, weights_N: Tensor, power: float) -> Tensor:
    """Weighted sum of -(power log s(positive) + sum log(1 - s(negative))) / (C + 1)."""
    right_N = power * functional.logsigmoid(positive_N)
    wrong_N = functional.logsigmoid(-negatives_NC).sum(1)
    return -((right_N + wrong_N) * weights_N).sum() / (negatives_NC.shape[1] + 1)


def gbce_power(calibration: float, negatives: int, products: int) -> float:
    """beta = a (t (1 - 1/a) + 1/a) with the sampling rate a = C / (P - 1).

    >>> gbce_power(0.0, 10, 101), gbce_power(1.0, 10, 101)
    (1.0, 0.1)
    """
    rate = min(negatives / max(products - 1, 1), 1.0)
    return rate * (calibration * (1.0 - 1.0 / rate) + 1.0 / rate)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Cross-entropy of a product of matrices; gradients come out of the forward pass, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        users_ND: Tensor,
        items_CD: Tensor,
        targets_N: Tensor,
        weights_N: Tensor,
        excluded_NL: Tensor | None,
    ) -> Tensor:
        items_CD = items_CD.to(users_ND.dtype)
        loss = users_ND.new_zeros((), dtype=torch.float32)
        users_grad_ND = torch.empty_like(users_ND)
        items_grad_CD = torch.zeros_like(items_CD, dtype=torch.float32)
        for start in range(0, len(users_ND), CHUNK):
            part = slice(start, start + CHUNK)
            users_KD, targets_K1, weights_K1 = users_ND[part], targets_N[part, None], weights_N[part, None]
            logits_KC = users_KD @ items_CD.T
            if excluded_NL is not None:
                right_logits_K1 = logits_KC.gather(1, targets_K1)
                logits_KC.scatter_(1, excluded_NL[part], HIT).scatter_(1, targets_K1, right_logits_K1)
            chances_KC = logits_KC.softmax(-1, dtype=torch.float32)
            right_K1 = chances_KC.gather(1, targets_K1).clamp_min(1e-30)
            loss -= (right_K1.log() * weights_K1).sum()
            chances_KC.scatter_add_(1, targets_K1, torch.full_like(right_K1, -1.0))
            slopes_KC = chances_KC.mul_(weights_K1).to(users_ND.dtype)
            users_grad_ND[part] = slopes_KC @ items_CD
            items_grad_CD += slopes_KC.T @ users_KD
        ctx.save_for_backward(users_grad_ND, items_grad_CD)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, None, None, None]:
        users_grad_ND, items_grad_CD = ctx.saved_tensors
        return grads[0] * users_grad_ND, grads[0] * items_grad_CD, None, None, None
