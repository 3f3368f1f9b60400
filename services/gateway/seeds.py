"""From a person's features and place to what retrieval is asked for. Constants: docs/quality.md."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from mercato.gateway.v1 import recommendation_pb2, recommendation_service_pb2, user_event_pb2
from mercato.profile.v1 import profile_features_pb2
from mercato.retrieval.v1 import candidates_pb2

from shared.features.seeds import (
    BROWSE_HALF_LIFE_DAYS,
    BROWSE_WEIGHTS,
    CATEGORIES,
    CONTENT_SEEDS,
    INTEREST_HALF_LIFE_DAYS,
    LEAST_BROWSE_WEIGHT,
    PURCHASE_HALF_LIFE_DAYS,
)

DAY_S = 86_400.0
CONTEXT_PRODUCT_WEIGHT, CART_WEIGHT = 4.0, 2.0
MOST_SEEDS = 2000
# As many as behaviour models read.
BEHAVIOUR_ROWS = 200

Placement = recommendation_service_pb2.Placement
Features = profile_features_pb2.ProfileFeatures


@dataclass(frozen=True, slots=True)
class Seeds:
    """What stands for a person's interest: product and its weights, and what they bought."""

    product_ids: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    content_weights: tuple[float, ...] = ()
    purchased: tuple[str, ...] = ()
    categories: tuple[str, ...] = field(default=())

    def purchased_first(self) -> list[str]:
        """What was bought, the latest first."""
        bought = set(self.purchased)
        return [product_id for product_id in self.product_ids if product_id in bought]

    def to_proto(self) -> candidates_pb2.Seeds:
        """For retrieval."""
        bought = set(self.purchased)
        return candidates_pb2.Seeds(
            product_ids=self.product_ids,
            weights=self.weights,
            content_weights=self.content_weights,
            bought=[product_id in bought for product_id in self.product_ids],
        )


def build_seeds(
    features: Features | None,
    context: recommendation_pb2.RequestContext,
    placement: Placement.ValueType,
    now_s: float,
) -> Seeds:
    """Weighs purchases by age, adds what was looked at, the product on screen and the cart."""
    weights: dict[str, float] = {}
    content: dict[str, float] = {}
    purchased: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    if features is not None:
        purchased, decayed = _purchases(features, now_s)
        weights.update(decayed)
        content.update(sorted(decayed.items(), key=lambda item: -item[1])[:CONTENT_SEEDS])
        categories = _categories(features, now_s)
        for product_id, weight in _browsed(features, now_s).items():
            weights[product_id] = weights.get(product_id, 0.0) + weight
            content[product_id] = content.get(product_id, 0.0) + 2.0 * weight
    emphasis = 1.0 if placement in (Placement.PLACEMENT_PRODUCT_PAGE, Placement.PLACEMENT_CART) else 0.25
    present = [(context.product_id, CONTEXT_PRODUCT_WEIGHT)] if context.product_id else []
    present += [(product_id, CART_WEIGHT) for product_id in context.cart_product_ids]
    for product_id, weight in present:
        weights[product_id] = weights.get(product_id, 0.0) + emphasis * weight
        content[product_id] = content.get(product_id, 0.0) + emphasis * weight
    return _assemble(weights, content, purchased, categories)


@dataclass(frozen=True, slots=True)
class BehaviourRows:
    """What a person did with products, in columns, oldest first."""

    product_ids: tuple[str, ...]
    kinds: tuple[int, ...]
    times_s: tuple[int, ...]


def behaviour_rows(features: Features | None) -> BehaviourRows | None:
    """The latest purchases and interactions in one sequence; None when there are none."""
    if features is None:
        return None
    bought, recent = features.purchases, features.recent
    latest = range(max(0, len(bought.product_indexes) - BEHAVIOUR_ROWS), len(bought.product_indexes))
    purchase = user_event_pb2.USER_EVENT_TYPE_PURCHASE
    rows = [(bought.purchase_times_s[row], purchase, bought.product_ids[bought.product_indexes[row]]) for row in latest]
    rows += zip(recent.event_times_s, recent.event_types, recent.product_ids, strict=True)
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: row[0])[-BEHAVIOUR_ROWS:]
    times_s, kinds, product_ids = zip(*rows, strict=True)
    return BehaviourRows(product_ids, kinds, times_s)


def _assemble(
    weights: dict[str, float], content: dict[str, float], purchased: tuple[str, ...], categories: tuple[str, ...]
) -> Seeds:
    strongest = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:MOST_SEEDS]
    shown = dict(sorted(content.items(), key=lambda item: (-item[1], item[0]))[:CONTENT_SEEDS])
    return Seeds(
        product_ids=tuple(product_id for product_id, _ in strongest),
        weights=tuple(weight for _, weight in strongest),
        content_weights=tuple(shown.get(product_id, 0.0) for product_id, _ in strongest),
        purchased=purchased,
        categories=categories,
    )


def _purchases(features: Features, now_s: float) -> tuple[tuple[str, ...], dict[str, float]]:
    """Products bought, and 2^(-age / 112 days) of the latest purchase of each."""
    history = features.purchases
    product_ids = tuple(history.product_ids)
    if not product_ids:
        return (), {}
    latest = np.zeros(len(product_ids))
    np.maximum.at(latest, np.array(history.product_indexes), np.array(history.purchase_times_s, dtype=np.float64))
    ages = np.maximum(now_s - latest, 0.0) / DAY_S
    decayed = 2.0 ** (-ages / PURCHASE_HALF_LIFE_DAYS)
    return product_ids, dict(zip(product_ids, decayed.tolist(), strict=True))


def _categories(features: Features, now_s: float) -> tuple[str, ...]:
    """The leaf categories bought from most, half-life 60 days."""
    history = features.purchases
    names = history.category_names
    if not names:
        return ()
    ages = np.maximum(now_s - np.array(history.purchase_times_s, dtype=np.float64), 0.0) / DAY_S
    leaves = np.array(history.category_indexes)[np.array(history.product_indexes)]
    totals = np.bincount(leaves, 2.0 ** (-ages / INTEREST_HALF_LIFE_DAYS), minlength=len(names)).tolist()
    strongest = sorted(zip(totals, names, strict=True), key=lambda item: (-item[0], item[1]))
    return tuple(name for total, name in strongest if name and total > 0.0)[:CATEGORIES]


def _browsed(features: Features, now_s: float) -> dict[str, float]:
    recent = features.recent
    found: dict[str, float] = {}
    for product_id, kind, time_s in zip(recent.product_ids, recent.event_types, recent.event_times_s, strict=True):
        weight = BROWSE_WEIGHTS.get(kind, 0.0)
        if weight:
            age_days = max(now_s - time_s, 0.0) / DAY_S
            decayed = weight * 2.0 ** (-age_days / BROWSE_HALF_LIFE_DAYS)
            if decayed > LEAST_BROWSE_WEIGHT:
                found[product_id] = max(found.get(product_id, 0.0), decayed)
    return found
