"""The behaviour channel: scores by row, and vectors for products that the model never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from services.retrieval.domain.behaviour import BehaviourVectors
from services.retrieval.domain.candidates import by_behaviour
from services.retrieval.domain.index import IndexInfo, LiveIndex
from services.retrieval.domain.product import IndexedProduct, Product
from services.retrieval.domain.release import ReleaseLists
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable
from services.retrieval.indexes import TenantIndexes
from services.retrieval.keep_behaviour import KeepBehaviour
from services.retrieval.nearest import Nearest, NearestPolicy
from services.retrieval.ports import BehaviourProduct

USER = np.array([1.0, 2.0], np.float32)


def table(*ids: str) -> ProductTable:
    made = ProductTable(3, 10**6)
    put(made, *ids)
    return made


def put(into: ProductTable, *ids: str) -> None:
    into.put(
        [
            IndexedProduct(
                Product(
                    product_id=one,
                    category_path=("Food", "Milk"),
                    brand="Acme",
                    price_micros=1,
                    available=True,
                    publish_time_s=1,
                    change_number=1,
                ),
                np.array([1.0, 0.0, 0.0], np.float32),
                "",
            )
            for one in ids
        ]
    )


def lists(vectors: BehaviourVectors | None) -> ReleaseLists:
    nothing = np.empty(0, np.float32)
    offsets = np.zeros(1, np.int64)
    return ReleaseLists("r1", {}, offsets, np.empty(0, np.int32), nothing, nothing, nothing, vectors)


def vectors() -> BehaviourVectors:
    return BehaviourVectors(["milk", "beer"], np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))


def test_scores_stand_at_the_rows_of_the_index_and_new_products_wait_for_a_vector() -> None:
    known = vectors()
    products = table("beer", "new", "milk")
    shelf = Shelf(products, lists(known), 30)
    assert shelf.behaviour_scores(USER).tolist() == [2.0, 0.0, 1.0]
    assert shelf.has_vector(np.arange(3)).tolist() == [True, False, True]
    known.add(["new", "milk"], np.array([[5.0, 5.0], [9.0, 9.0]], np.float32))
    assert not shelf.fits(products, lists(known))  # so it is made again
    again = Shelf(products, lists(known), 30)
    assert again.behaviour_scores(USER).tolist() == [2.0, 15.0, 1.0]  # milk keeps what was learnt


def test_a_vector_of_another_release_scores_nothing() -> None:
    shelf = Shelf(table("beer"), lists(vectors()), 30)
    assert shelf.behaviour_scores(np.ones(7, np.float32)).tolist() == [0.0]
    assert Shelf(table("beer"), lists(None), 30).behaviour_scores(USER).tolist() == [0.0]


def test_the_channel_brings_the_best_of_what_is_allowed_also_below_zero() -> None:
    scores = np.array([-3.0, -1.0, 5.0, -2.0], np.float32)
    allowed = np.array([True, True, False, True])
    assert by_behaviour(scores, np.array([0, 1, 2]), allowed, 2).tolist() == [1, 0]


class Shop:
    """The indexes of one tenant, without Milvus."""

    def __init__(self, index: LiveIndex) -> None:
        self.index = index

    def tenants(self) -> list[str]:
        return ["shop"]

    async def of(self, tenant: str) -> TenantIndexes:
        return TenantIndexes(active=self.index)


class Held:
    def __init__(self, found: ReleaseLists) -> None:
        self.found = found

    def of(self, tenant: str, release_id: str = "") -> ReleaseLists:
        return self.found

    def current(self, tenant: str) -> str:
        return "r1"

    def held(self, tenant: str) -> list[str]:
        return ["r1"]


class Encoder:
    def __init__(self) -> None:
        self.asked: list[BehaviourProduct] = []

    async def encode(self, release_id: str, products: Sequence[BehaviourProduct]) -> np.ndarray:
        self.asked += products
        return np.full((len(products), 2), 4.0, np.float32)


@pytest.mark.parametrize("count", [1, 1200])
async def test_products_new_in_the_shop_get_their_vectors_once(count: int) -> None:
    known, encoder = vectors(), Encoder()
    index = LiveIndex(IndexInfo("i", "shop", "m", 3, 1, True), table("milk", *(f"new-{n}" for n in range(count))))
    shop: Any = Shop(index)
    keep = KeepBehaviour(shop, Held(lists(known)), Nearest(shop, NearestPolicy()), encoder, 1.0)
    assert await keep.look("shop") == count
    first = encoder.asked[0]
    assert (first.product_id, first.category, first.brand) == ("new-0", "Food > Milk", "Acme")
    assert first.text_vector.tolist() == [1.0, 0.0, 0.0]
    assert await keep.look("shop") == 0
    assert len(encoder.asked) == count
