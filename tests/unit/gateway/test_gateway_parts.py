from __future__ import annotations

from pathlib import Path

import pytest
from mercato.gateway.v1 import product_pb2, recommendation_pb2, recommendation_service_pb2, user_event_pb2
from mercato.profile.v1 import profile_features_pb2

from services.gateway.attribution import load_key
from services.gateway.hydration import matches, narrowed, shows
from services.gateway.lists import ReleaseLists
from services.gateway.seeds import CART_WEIGHT, CONTEXT_PRODUCT_WEIGHT, build_seeds

Placement = recommendation_service_pb2.Placement
DAY, NOW = 86_400, 1_700_000_000


def test_the_key_is_made_once(tmp_path: Path) -> None:
    first = load_key("", tmp_path)
    assert load_key("", tmp_path) == first
    assert (tmp_path / "keys" / "attribution.key").stat().st_mode & 0o077 == 0
    assert load_key("configured", tmp_path) != first


def person() -> profile_features_pb2.ProfileFeatures:
    return profile_features_pb2.ProfileFeatures(
        known=True,
        purchases=profile_features_pb2.PurchaseHistory(
            product_ids=["old", "new"],
            category_names=["Food > A", "Food > B"],
            category_indexes=[0, 1],
            product_indexes=[0, 0, 1],
            purchase_times_s=[NOW - 200 * DAY, NOW - 112 * DAY, NOW],
            basket_indexes=[0, 1, 2],
        ),
        recent=profile_features_pb2.RecentInteractions(
            product_ids=["seen", "new"],
            event_types=[user_event_pb2.USER_EVENT_TYPE_PRODUCT_VIEW, user_event_pb2.USER_EVENT_TYPE_PURCHASE],
            event_times_s=[NOW - DAY, NOW],
        ),
    )


def test_seeds_decay_with_the_latest_purchase() -> None:
    seeds = build_seeds(person(), recommendation_pb2.RequestContext(), Placement.PLACEMENT_HOME, NOW)
    weights = dict(zip(seeds.product_ids, seeds.weights, strict=True))
    assert weights["new"] == pytest.approx(1.0)
    assert weights["old"] == pytest.approx(0.5)
    assert weights["seen"] == pytest.approx(0.1)
    assert seeds.categories == ("Food > B", "Food > A")
    assert seeds.purchased_first() == ["new", "old"]


def test_the_screen_and_the_cart_weigh_most_where_the_list_stands_beside_them() -> None:
    context = recommendation_pb2.RequestContext(product_id="shown", cart_product_ids=["in-cart"])
    beside = build_seeds(person(), context, Placement.PLACEMENT_PRODUCT_PAGE, NOW)
    assert beside.product_ids[:2] == ("shown", "in-cart")
    assert beside.weights[:2] == (CONTEXT_PRODUCT_WEIGHT, CART_WEIGHT)
    home = build_seeds(None, context, Placement.PLACEMENT_HOME, NOW)
    assert home.weights == (CONTEXT_PRODUCT_WEIGHT / 4, CART_WEIGHT / 4)
    assert build_seeds(None, recommendation_pb2.RequestContext(), Placement.PLACEMENT_HOME, NOW).product_ids == ()


PRODUCT = product_pb2.Product(
    product_id="p",
    title="T",
    brand="B",
    category_path=["Food", "Milk"],
    price={"units": 5, "nanos": 500_000_000, "currency_code": "USD"},
)


@pytest.mark.parametrize(
    ("filter_", "passes"),
    [
        ({}, True),
        ({"categories": ["Milk", "x"]}, True),
        ({"categories": ["x"]}, False),
        ({"brands": ["C"]}, False),
        ({"min_price": {"units": 5}, "max_price": {"units": 6}}, True),
        ({"max_price": {"units": 5, "nanos": 499_999_999}}, False),
        ({"min_price": {"units": 6}}, False),
        ({"excluded_product_ids": ["p"]}, False),
    ],
)
def test_the_last_check_of_a_filter(filter_: dict[str, object], passes: bool) -> None:
    assert matches(PRODUCT, product_pb2.ProductFilter(**filter_)) is passes


def test_what_cannot_be_bought_or_is_unknown() -> None:
    sold_out = product_pb2.Product(product_id="s", title="T", availability=product_pb2.AVAILABILITY_OUT_OF_STOCK)
    assert not matches(sold_out, product_pb2.ProductFilter())
    assert matches(sold_out, product_pb2.ProductFilter(include_unavailable=True))
    bare = product_pb2.Product(product_id="only-an-id")
    assert matches(bare, product_pb2.ProductFilter())
    assert not matches(bare, product_pb2.ProductFilter(brands=["B"])), "what cannot be checked is not shown"


def test_the_category_on_screen_and_the_filter_both_hold() -> None:
    wanted = product_pb2.ProductFilter(categories=["Milk"], brands=["B"])
    assert list(narrowed(wanted, "Food").categories) == ["Food"]
    assert list(narrowed(wanted, "").categories) == ["Milk"]
    assert shows(PRODUCT, wanted, "Food")
    assert not shows(PRODUCT, wanted, "Tools")
    assert not shows(PRODUCT, product_pb2.ProductFilter(categories=["Bread"]), "Food")


def test_lists_in_memory() -> None:
    lists = ReleaseLists("r", ("a",), {"x": (("n1", 0.5), ("n2", 0.3)), "y": (("n2", 0.4), ("x", 9.0))})
    assert lists.bought_together([("x", 1.0), ("y", 1.0)]) == ["n2", "n1"]
