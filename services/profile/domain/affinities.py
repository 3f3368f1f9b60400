"""Interests that fade: each event adds its weight, halved every ``HALF_LIFE_DAYS``.

Weights by type: purchase 1.0, add to cart .5, wish list .4, click .2, product view .1, search in a category and
category view .1 (category only), rating from -.5 (one star) to +.5 (five), remove from cart -.3, impression 0. Each
product of an event counts once whatever its quantity. Interests that end at or below zero are left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from services.profile.domain.event import DAY_US, EventType
from services.profile.domain.history import History, HistoryEvent

HALF_LIFE_DAYS = 60.0
MOST = 50
_MICROS = 1_000_000
LOWEST_BAND, HIGHEST_BAND = -9, 40
"""2^-9 is the lowest power of two that Money holds exactly."""

WEIGHTS: Mapping[int, float] = {
    EventType.PURCHASE: 1.0,
    EventType.ADD_TO_CART: 0.5,
    EventType.ADD_TO_WISH_LIST: 0.4,
    EventType.CLICK: 0.2,
    EventType.PRODUCT_VIEW: 0.1,
    EventType.REMOVE_FROM_CART: -0.3,
}
_CATEGORY_WEIGHTS: Mapping[int, float] = {EventType.CATEGORY_VIEW: 0.1, EventType.SEARCH: 0.1}
_NEUTRAL_STARS, _WEIGHT_A_STAR = 3.0, 0.25


@dataclass(frozen=True, slots=True)
class Affinity:
    """An interest; ``share`` of all interests of its kind, those cut off included."""

    name: str
    share: float
    weight: float


@dataclass(frozen=True, slots=True)
class PriceBand:
    """An interest in prices from 2^band to 2^(band+1)."""

    band: int
    share: float


@dataclass(frozen=True, slots=True)
class Affinities:
    """Interests at one moment."""

    categories: tuple[Affinity, ...] = ()
    brands: tuple[Affinity, ...] = ()
    price_bands: tuple[PriceBand, ...] = ()
    currency: str = ""
    """Of the prices."""


def decay(age_us: int) -> float:
    """What is left of a weight after ``age_us``; events ahead of the clock count as now."""
    return 1.0 if age_us <= 0 else math.exp2(-age_us / (HALF_LIFE_DAYS * DAY_US))


def weight_of(event: HistoryEvent) -> float:
    """The weight that an event gives to each of its products."""
    if event.event_type == EventType.RATE and event.rating is not None:
        return (event.rating - _NEUTRAL_STARS) * _WEIGHT_A_STAR
    return WEIGHTS.get(event.event_type, 0.0)


def affinities(history: History, now_us: int) -> Affinities:
    """Interests in categories, brands and price bands, as of ``now_us``."""
    by_product = [0.0] * len(history.products)
    latest: dict[int, int | None] = {}
    currency = next((product.currency for product in history.products if product.currency), "")
    categories: defaultdict[str, float] = defaultdict(float)
    for event in reversed(history.events):
        fading = decay(now_us - event.time_us)
        weight = weight_of(event) * fading
        if weight:
            for product in event.products:
                by_product[product] += weight
        if event.price_micros and weight > 0:
            currency = event.currency or currency
            latest.update(zip(event.products, event.price_micros, strict=True))
        if event.category:
            categories[event.category] += _CATEGORY_WEIGHTS.get(event.event_type, 0.0) * fading
    brands: defaultdict[str, float] = defaultdict(float)
    bands: defaultdict[int, float] = defaultdict(float)
    for product, (info, weight) in enumerate(zip(history.products, by_product, strict=True)):
        categories[info.category] += weight
        brands[info.brand] += weight
        if price := latest.get(product) or info.price_micros:
            bands[band_of(price)] += weight
    return Affinities(_strongest(categories), _strongest(brands), _bands(bands), currency)


@lru_cache(maxsize=65_536)
def band_of(price_micros: int) -> int:
    """The band of a price above zero."""
    if price_micros >= _MICROS:
        return min((price_micros // _MICROS).bit_length() - 1, HIGHEST_BAND)
    return max(math.frexp(price_micros / _MICROS)[1] - 1, LOWEST_BAND)


def _strongest(weights: Mapping[str, float]) -> tuple[Affinity, ...]:
    """The strongest with their shares; ties by name."""
    positive = [(name, weight) for name, weight in weights.items() if name and weight > 0]
    total = math.fsum(weight for _, weight in positive)
    positive.sort(key=lambda item: (-item[1], item[0]))
    return tuple(Affinity(name, weight / total, weight) for name, weight in positive[:MOST])


def _bands(weights: Mapping[int, float]) -> tuple[PriceBand, ...]:
    """All bands with their shares, cheapest first."""
    positive = sorted((band, weight) for band, weight in weights.items() if weight > 0)
    total = math.fsum(weight for _, weight in positive)
    return tuple(PriceBand(band, weight / total) for band, weight in positive)
