"""Learns a linear order of candidates: a smooth listwise loss first, then nDCG@10 itself by coordinate search.

Legend: U users, L candidates of a user (padded), F features, P products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from services.trainer.domain import Floats
from services.trainer.learning.pairs import Doubles

Mask = npt.NDArray[np.bool_]

HEAD = 10
STEPS = (0.5, 0.2)
"""Of the coordinate search, in standard deviations of the mix."""
LEVEL_SCALES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
LEVEL_SHIFTS = np.arange(-4.0, 4.5, 0.5)
PADDING_SCORE = np.float32(-1e9)


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """How weights are learned."""

    ridge: float = 1e-3
    """L2 of the listwise loss, on standardised features."""
    iterations: int = 60
    rounds: int = 2
    """Passes over the features with each step of the coordinate search."""
    least_gain: float = 5e-4
    """nDCG that a step must add: smaller gains are chance."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates of users, padded to the longest list."""

    features: Floats
    """`[U, L, F]`."""
    chosen: Mask
    """`[U, L]`."""
    valid: Mask
    """Whether there is a candidate at that place `[U, L]`."""
    chosen_counts: npt.NDArray[np.int64]
    """Products each user chose, candidates or not `[U]`."""


def part_features(scores: Floats) -> tuple[Floats, Floats]:
    """Scores of one model made comparable `[U, P]`: signed log of the z-score by user, and the clipped z-score.

    The logarithm tells small scores apart, the z-score large ones.
    """
    z = (scores - scores.mean(axis=1, keepdims=True)) / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
    return np.sign(z) * np.log1p(np.abs(z)), np.clip(z, -3.0, 20.0) / 10.0


def learn_weights(candidates: Candidates, config: MixConfig) -> Doubles:
    """Weights `[F]`; zeros when nobody chose a candidate."""
    asked = (candidates.chosen & candidates.valid).any(axis=1)
    if not asked.any():
        return np.zeros(candidates.features.shape[2])
    kept = Candidates(
        candidates.features[asked], candidates.chosen[asked], candidates.valid[asked], candidates.chosen_counts[asked]
    )
    scale = np.maximum(kept.features[kept.valid].std(axis=0), 1e-6)
    weights = listwise(kept, scale, config)
    return polished(kept, weights, scale, config)


def listwise(candidates: Candidates, scale: Floats, config: MixConfig) -> Doubles:
    """Minimises the cross entropy of a softmax over each user's candidates (ListNet: Cao et al. 2007) by L-BFGS.

    A user counts by what they chose, at most ten times, as in nDCG@10. Weights are for features as they are.
    """
    features = candidates.features / scale
    chosen = candidates.chosen & candidates.valid
    counts = chosen.sum(axis=1, keepdims=True)
    target = chosen * np.minimum(counts, HEAD) / counts / np.minimum(counts, HEAD).sum()
    totals = target.sum(axis=1, keepdims=True)

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        scores = np.where(candidates.valid, features @ weights.astype(np.float32), PADDING_SCORE)
        logs = scores - scores.max(axis=1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        slope = np.einsum("ul,ulf->f", (totals * np.exp(logs) - target).astype(np.float32), features)
        value = -float((target * np.where(candidates.valid, logs, 0.0)).sum()) + config.ridge * float(weights @ weights)
        return value, slope.astype(np.float64) + 2.0 * config.ridge * weights

    start = np.zeros(features.shape[2])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": config.iterations})
    return np.asarray(found.x / scale, dtype=np.float64)


def polished(
    candidates: Candidates, weights: Doubles, scale: Floats, config: MixConfig, base: Floats | None = None
) -> Doubles:
    """Moves one weight at a time while mean nDCG@10 grows by at least `least_gain`.

    `base` `[U, L]` is what scores hold beside the weighted features.
    """
    best = weights.copy()
    scores = candidates.features @ best.astype(np.float32)
    if base is not None:
        scores += base
    unit = float(scores[candidates.valid].std()) or 1.0
    reached = mean_ndcg(scores, candidates)
    for step in np.repeat(STEPS, config.rounds):
        for place in range(len(best)):
            for move in (step * unit / scale[place], -step * unit / scale[place]):
                moved = scores + np.float32(move) * candidates.features[:, :, place]
                gained = mean_ndcg(moved, candidates)
                if gained > reached + config.least_gain:
                    best[place] += move
                    scores, reached = moved, gained
                    break
    return best


def level(new: Floats, had: Floats, had_mask: Mask, candidates: Candidates) -> tuple[float, float]:
    """Scale and shift of the scores of products the user had, against new ones, of best nDCG@10 `[U, L]` each."""
    best, found = -1.0, (1.0, 0.0)
    for scale in LEVEL_SCALES:
        for shift in LEVEL_SHIFTS:
            reached = mean_ndcg(np.where(had_mask, scale * had + shift, new), candidates)
            if reached > best:
                best, found = reached, (scale, float(shift))
    return found


def mean_ndcg(scores: Floats, candidates: Candidates) -> float:
    """Mean nDCG@10 over users; what is no candidate counts as missed."""
    masked = np.where(candidates.valid, scores, PADDING_SCORE)
    width = min(HEAD, masked.shape[1])
    top = np.argpartition(-masked, width - 1, axis=1)[:, :width]
    order = np.argsort(-np.take_along_axis(masked, top, axis=1), axis=1, kind="stable")
    hits = np.take_along_axis(candidates.chosen & candidates.valid, np.take_along_axis(top, order, axis=1), axis=1)
    discounts = 1.0 / np.log2(np.arange(2, HEAD + 2))
    ideal = np.cumsum(discounts)[np.clip(candidates.chosen_counts, 1, HEAD) - 1]
    return float((hits @ discounts[:width] / ideal).mean())
