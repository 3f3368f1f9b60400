"""The behaviour channel: scores by row, and vectors for products that the model never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from services.retrieval.cold_vectors import ColdVectors
from services.retrieval.domain.behaviour import BehaviourIndex, BehaviourVectors, inner_products
from services.retrieval.domain.index import IndexInfo, LiveIndex
from services.retrieval.domain.product import IndexedProduct, Product
from services.retrieval.domain.release import ReleaseLists
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable
from services.retrieval.expected_next import Person, person_of
from services.retrieval.indexes import TenantIndexes
from services.retrieval.keep_behaviour import KeepBehaviour
from services.retrieval.nearest import Nearest, NearestPolicy
from services.retrieval.ports import BehaviourProduct
from services.retrieval.store_behaviour import StoreBehaviour
from shared.errors.base import FailedPrecondition, MercatoError
from tests.fakes.retrieval.behaviour import FakeBehaviour, FakeRecord

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


def person(products: ProductTable, known: BehaviourVectors | None, vector: np.ndarray = USER) -> Person | None:
    index = LiveIndex(IndexInfo("i", "shop", "m", 3, 1, True), products)
    return person_of("shop", index, Shelf(products, lists(known), 30), vector)


def test_vectors_stand_at_the_rows_of_the_index_and_new_products_wait_for_one() -> None:
    known = vectors()
    products = table("beer", "new", "milk")
    held = lists(known)
    shelf = Shelf(products, held, 30)
    assert shelf.fits(products, held)
    put(products, "later")
    assert shelf.vector_places(np.arange(4)).tolist() == [1, -1, 0, -1]
    known.add(["new", "milk"], np.array([[5.0, 5.0], [9.0, 9.0]], np.float32))
    assert not shelf.fits(products, held)  # so it is made again
    places = Shelf(products, held, 30).vector_places(np.arange(4))
    assert places.tolist() == [1, 2, 0, -1]
    assert known.held is not None
    assert inner_products(known.held, USER, places).tolist() == [2.0, 15.0, 1.0, 0.0]  # milk keeps what was learnt


def test_a_release_that_was_read_again_makes_a_new_shelf() -> None:
    products, known = table("beer"), vectors()
    index = LiveIndex(IndexInfo("i", "shop", "m", 3, 1, True), products)
    first, again = lists(known), lists(vectors())
    shelf = index.shelf(first, 30)
    assert index.shelf(first, 30) is shelf
    assert index.shelf(again, 30).behaviour is again.behaviour


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_inner_products_of_few_rows_are_those_of_all(count: int) -> None:
    chosen = np.random.default_rng(3)
    every, user = chosen.normal(size=(9, 2)).astype(np.float32), USER
    places = np.array([8, -1, 0, 3, 3], np.int32)[:count]
    expected = [float(every[place] @ user) if place >= 0 else 0.0 for place in places.tolist()]
    assert inner_products(every, user, places).tolist() == pytest.approx(expected)


def test_memory_lets_go_only_of_what_is_stored() -> None:
    known = vectors()
    assert known.held_bytes == 2 * 2 * 4
    with pytest.raises(LookupError):
        known.let_go()
    assert known.unwritten(1)[0] == ["milk"]
    known.stored = 2
    known.let_go()
    assert (known.held, known.held_bytes, len(known), known.place("beer")) == (None, 0, 2, 1)
    known.add(["new"], np.ones((1, 2), np.float32))
    assert (known.place("new"), known.stored) == (2, 3)
    with pytest.raises(LookupError):
        known.unwritten(1)


def test_a_vector_of_another_model_finds_nothing() -> None:
    assert person(table("beer"), vectors(), np.ones(7, np.float32)) is None
    assert person(table("beer"), None) is None
    assert person(table("beer"), vectors()) is not None


class Shop:
    """The indexes of one tenant, without Milvus."""

    def __init__(self, index: LiveIndex) -> None:
        self.index = index

    def tenants(self) -> list[str]:
        return ["shop"]

    async def of(self, tenant: str) -> TenantIndexes:
        return TenantIndexes(active=self.index)


class Held:
    """One release; read again, it is as it was at first."""

    def __init__(self, found: ReleaseLists) -> None:
        self.found = found
        self.read = 0

    def of(self, tenant: str, release_id: str = "") -> ReleaseLists:
        return self.found

    def current(self, tenant: str) -> str:
        return "r1"

    def held(self, tenant: str) -> list[str]:
        return ["r1"]

    async def again(self, tenant: str, release_id: str) -> None:
        self.read += 1
        self.found = lists(vectors())


class Encoder:
    def __init__(self) -> None:
        self.asked: list[BehaviourProduct] = []
        self.ready = True

    async def encode(self, release_id: str, products: Sequence[BehaviourProduct]) -> np.ndarray:
        if not self.ready:
            raise FailedPrecondition("not loaded")
        self.asked += products
        return np.full((len(products), 2), 4.0, np.float32)


STORED = BehaviourIndex("shop", "r1", 2)


class Keeping:
    """A shop with its parts, and the work of one replica."""

    def __init__(
        self, *ids: str, milvus: FakeBehaviour | None = None, record: FakeRecord | None = None, memory: int = 10**9
    ) -> None:
        self.index = LiveIndex(IndexInfo("i", "shop", "m", 3, 1, True), table(*ids))
        self.held, self.encoder = Held(lists(vectors())), Encoder()
        self.milvus, self.record = milvus or FakeBehaviour(), record or FakeRecord("r1")
        shop: Any = Shop(self.index)
        cold = ColdVectors(Nearest(shop, NearestPolicy()), self.encoder, self.milvus)
        self.store = StoreBehaviour(self.milvus, self.held, self.record, memory, grace_seconds=0.0)
        self.keep = KeepBehaviour(shop, self.held, cold, self.store, 1.0)

    @property
    def vectors(self) -> BehaviourVectors:
        found = self.held.found.behaviour
        assert found is not None
        return found

    async def look(self, *, check: bool = False) -> int:
        return await self.keep.look("shop", check=check)

    @property
    def written(self) -> set[str]:
        return set(self.milvus.vectors[STORED])


@pytest.mark.parametrize("count", [1, 1200])
async def test_products_new_in_the_shop_get_their_vectors_once(count: int) -> None:
    shop = Keeping("milk", *(f"new-{n}" for n in range(count)))
    assert await shop.look() == count
    first = shop.encoder.asked[0]
    assert (first.product_id, first.category, first.brand) == ("new-0", "Food > Milk", "Acme")
    assert first.text_vector.tolist() == [1.0, 0.0, 0.0]
    assert await shop.look() == 0
    put(shop.index.table, "newest")
    assert await shop.look() == 1
    assert len(shop.encoder.asked) == count + 1
    assert shop.written == {"milk", "beer", "newest", *(f"new-{n}" for n in range(count))}
    assert STORED in shop.milvus.marked


async def test_another_replica_and_the_next_run_take_what_is_stored() -> None:
    first = Keeping("milk", "new")
    await first.look()
    second = Keeping("milk", "new", "newer", milvus=first.milvus)
    first.milvus.writes_left = 1  # only the new one is written
    assert await second.look() == 2
    assert [one.product_id for one in second.encoder.asked] == ["newer"]
    assert second.vectors.held is not None
    assert second.vectors.held[second.vectors.place("new")].tolist() == [4.0, 4.0]


async def test_memory_is_freed_once_all_is_stored_and_new_products_still_come() -> None:
    shop = Keeping("milk", "new", memory=0)
    await shop.look()
    assert shop.vectors.held is None
    put(shop.index.table, "newer")
    assert await shop.look() == 1
    assert shop.written == {"milk", "beer", "new", "newer"}
    assert shop.vectors.place("newer") >= 0


async def test_while_milvus_is_down_memory_serves_new_products_too() -> None:
    shop = Keeping("milk", "new", memory=0)
    shop.milvus.down = True
    with pytest.raises(MercatoError):
        await shop.look()
    assert shop.vectors.held is not None
    assert shop.vectors.place("new") >= 0
    assert not shop.vectors.searchable
    shop.milvus.down = False
    await shop.look()
    assert shop.vectors.searchable
    assert shop.written == {"milk", "beer", "new"}


async def test_while_the_encoder_lacks_the_model_what_was_learnt_is_stored() -> None:
    shop = Keeping("milk", "new")
    shop.encoder.ready = False
    with pytest.raises(FailedPrecondition):
        await shop.look()
    assert shop.vectors.searchable
    assert shop.written == {"milk", "beer"}


async def test_a_replica_killed_half_way_leaves_no_mark_and_the_next_one_finishes() -> None:
    milvus = FakeBehaviour()
    many = [f"p{number}" for number in range(1700)]
    half, whole = (Keeping("p1", milvus=milvus) for _ in range(2))
    for one in (half, whole):
        one.held.found = lists(BehaviourVectors(many, np.ones((1700, 2), np.float32)))
    milvus.writes_left = 2
    with pytest.raises(MercatoError):
        await half.look()
    assert (len(milvus.vectors[STORED]), milvus.marked) == (1000, set())
    milvus.writes_left = 10**9
    await whole.look()
    assert (len(milvus.vectors[STORED]), milvus.marked) == (1700, {STORED})
    milvus.writes_left = 0
    await half.look()  # nothing is left to write
    assert half.vectors.searchable


async def test_what_milvus_lost_is_written_again() -> None:
    shop = Keeping("milk")
    await shop.look()
    shop.milvus.vectors[STORED].pop("beer")
    assert await shop.look() == 0
    assert shop.written == {"milk"}, "not noticed without a check"
    await shop.look(check=True)
    assert shop.written == {"milk", "beer"}
    await shop.milvus.drop(STORED)
    await shop.look(check=True)
    assert shop.written == {"milk", "beer"}
    assert shop.held.read == 0


async def test_what_milvus_lost_after_memory_was_freed_is_read_again_from_the_trainer() -> None:
    shop = Keeping("milk", "new", memory=0)
    await shop.look()
    await shop.milvus.drop(STORED)
    await shop.look(check=True)
    assert shop.held.read == 1
    assert shop.vectors.held is not None, "memory serves at once"
    await shop.look()
    assert shop.written == {"milk", "beer", "new"}
    assert shop.vectors.held is None
    assert len(shop.encoder.asked) == 2


async def test_only_collections_of_deleted_releases_are_dropped() -> None:
    shop = Keeping("milk", record=FakeRecord("r2"))
    await shop.look()
    kept, gone, foreign = BehaviourIndex("shop", "r2", 2), BehaviourIndex("shop", "r0", 2), BehaviourIndex("b", "r0", 2)
    for one in (kept, gone, foreign):
        await shop.milvus.open(one)
    shop.record.down = True
    with pytest.raises(MercatoError):
        await shop.store.tidy("shop")
    assert gone in shop.milvus.vectors, "who does not know what is kept drops nothing"
    shop.record.down = False
    assert await shop.store.tidy("shop") == 1
    # r1 is held here though the trainer does not list it.
    assert set(shop.milvus.vectors) == {STORED, kept, foreign}


async def test_a_collection_stays_for_a_while_after_its_release_was_deleted() -> None:
    shop = Keeping("milk")
    store = StoreBehaviour(shop.milvus, shop.held, shop.record, 0, grace_seconds=3600.0)
    gone = BehaviourIndex("shop", "r0", 2)
    await shop.milvus.open(gone)
    assert [await store.tidy("shop") for _ in range(2)] == [0, 0]
    shop.record.releases.add("r0")  # restored: the time begins anew
    assert await store.tidy("shop") == 0
    assert gone in shop.milvus.vectors
