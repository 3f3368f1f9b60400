"""Interests that fade."""

import math

import pytest

from services.profile.domain.affinities import LOWEST_BAND, Affinities, affinities, band_of, decay
from services.profile.domain.event import DAY_US, EventType
from services.profile.domain.history import History, HistoryEvent, ProductInfo
from tests.fakes.profile.events import NOW_US

MILK = ProductInfo("milk", "Dairy", "Farm", 1_000_000, "USD")
BREAD = ProductInfo("bread", "Bakery", "Oven", 3_000_000, "USD")
NEW = ProductInfo("new")


def did(kind: EventType, product: int | None, *, days_ago: float = 0, **fields: object) -> HistoryEvent:
    products = () if product is None else (product,)
    time_us = NOW_US - int(days_ago * DAY_US)
    return HistoryEvent(1, time_us, kind, products, (1,) * len(products), **fields)  # type: ignore[arg-type]


def made(*events: HistoryEvent) -> Affinities:
    return affinities(History(events, (MILK, BREAD, NEW)), NOW_US)


def test_a_half_life_is_sixty_days() -> None:
    assert decay(0) == decay(-5) == 1
    assert decay(60 * DAY_US) == pytest.approx(0.5)
    assert decay(180 * DAY_US) == pytest.approx(0.125)


def test_weights_follow_type_and_age() -> None:
    found = made(
        did(EventType.PURCHASE, 0, days_ago=60),
        did(EventType.ADD_TO_CART, 1),
        did(EventType.PRODUCT_VIEW, 1),
        did(EventType.IMPRESSION, 0),
    )
    assert [(item.name, item.weight) for item in found.categories] == [
        ("Bakery", pytest.approx(0.6)),
        ("Dairy", pytest.approx(0.5)),
    ]
    assert [item.name for item in found.brands] == ["Oven", "Farm"]
    assert math.fsum(item.share for item in found.brands) == pytest.approx(1)
    assert found.brands[0].share == pytest.approx(0.6 / 1.1)


@pytest.mark.parametrize(("stars", "weight"), [(5.0, 0.5), (4.0, 0.25), (3.0, None), (1.0, None)])
def test_stars_attract_and_repel(stars: float, weight: float | None) -> None:
    found = made(did(EventType.RATE, 0, rating=stars)).categories
    assert [item.weight for item in found] == ([] if weight is None else [pytest.approx(weight)])


def test_taking_out_of_the_cart_outweighs_looking() -> None:
    found = made(did(EventType.REMOVE_FROM_CART, 0), did(EventType.PRODUCT_VIEW, 0), did(EventType.CLICK, 1))
    assert [item.name for item in found.categories] == ["Bakery"]


def test_category_pages_count_for_the_category_alone() -> None:
    found = made(did(EventType.CATEGORY_VIEW, None, category="Toys"), did(EventType.SEARCH, None, category="Toys"))
    assert [(item.name, item.weight) for item in found.categories] == [("Toys", pytest.approx(0.2))]
    assert found.brands == ()


def test_nothing_known_of_a_product_is_no_interest() -> None:
    found = made(did(EventType.PURCHASE, 2))
    assert (found.categories, found.brands, found.price_bands) == ((), (), ())


@pytest.mark.parametrize(
    ("price_micros", "band"),
    [(1_000_000, 0), (1_999_999, 0), (2_000_000, 1), (7_990_000, 2), (500_000, -1), (499_999, -2), (1, LOWEST_BAND)],
)
def test_bands_are_powers_of_two(price_micros: int, band: int) -> None:
    assert band_of(price_micros) == band


def test_a_price_paid_goes_before_the_catalogues() -> None:
    found = made(
        did(EventType.PURCHASE, 0, price_micros=[9_000_000], currency="EUR"),
        did(EventType.PURCHASE, 1, price_micros=[None], currency="EUR"),
    )
    assert [(item.band, item.share) for item in found.price_bands] == [(1, 0.5), (3, 0.5)]
    assert found.currency == "EUR"


def test_later_weights_shrink_and_shares_stay() -> None:
    bought = History((did(EventType.PURCHASE, 0), did(EventType.PURCHASE, 1)), (MILK, BREAD, NEW))
    later = affinities(bought, NOW_US + 60 * DAY_US)
    assert [item.weight for item in later.categories] == [pytest.approx(0.5)] * 2
    assert [item.share for item in later.categories] == [0.5, 0.5]
    assert affinities(History((), ()), NOW_US) == Affinities()
