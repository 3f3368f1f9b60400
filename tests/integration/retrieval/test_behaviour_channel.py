"""A release's vectors on a real Milvus: filled beside serving, searched, let go by memory, and lost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from services.retrieval.adapters.milvus.behaviour import MilvusBehaviour
from services.retrieval.adapters.milvus.collection import Collections
from services.retrieval.adapters.milvus.connection import MilvusConfig, MilvusConnection
from services.retrieval.adapters.milvus.passages import MilvusPassages
from services.retrieval.adapters.milvus.products import MilvusProducts
from services.retrieval.adapters.milvus.schema import IndexSettings
from services.retrieval.cold_vectors import ColdVectors
from services.retrieval.domain.behaviour import BehaviourIndex, BehaviourVectors
from services.retrieval.domain.candidates import Channel
from services.retrieval.domain.filter import ProductFilter
from services.retrieval.domain.product import IndexedProduct, Product
from services.retrieval.domain.release import ReleaseLists
from services.retrieval.find_candidates import CandidateRequest, FoundCandidates
from services.retrieval.keep_behaviour import KeepBehaviour
from services.retrieval.ports import BehaviourProduct
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store_behaviour import StoreBehaviour
from services.retrieval.wiring import Core, core
from shared.errors.base import MercatoError, Unavailable
from tests.fakes.retrieval.behaviour import FakeRecord

COUNT, LEARNT, DIMENSION = 1600, 1550, 4
IDS = [f"p{number}" for number in range(COUNT)]
VECTORS = np.random.default_rng(11).normal(size=(COUNT, DIMENSION)).astype(np.float32)
USER = np.array([1.0, -0.5, 0.25, 2.0], np.float32)
CATEGORIES = ("Food", "Tools")


class Trainer:
    """Holds one release."""

    def __init__(self) -> None:
        self.lists = self._read()

    def of(self, tenant: str, release_id: str = "") -> ReleaseLists:
        return self.lists

    def current(self, tenant: str) -> str:
        return "r1"

    def held(self, tenant: str) -> list[str]:
        return ["r1"]

    async def again(self, tenant: str, release_id: str) -> None:
        self.lists = self._read()

    @staticmethod
    def _read() -> ReleaseLists:
        nothing, vectors = np.empty(0, np.float32), BehaviourVectors(IDS[:LEARNT], VECTORS[:LEARNT])
        return ReleaseLists("r1", {}, np.zeros(1, np.int64), np.empty(0, np.int32), nothing, nothing, nothing, vectors)


class Encoder:
    async def encode(self, release_id: str, products: Sequence[BehaviourProduct]) -> np.ndarray:
        return np.stack([VECTORS[IDS.index(one.product_id)] for one in products])


@dataclass
class Replica:
    service: Core
    trainer: Trainer
    keep: KeepBehaviour
    vectors: MilvusBehaviour
    tenant: str

    async def find(
        self, wanted: ProductFilter, channels: tuple[Channel, ...] = (Channel.BEHAVIOUR,)
    ) -> FoundCandidates:
        request = CandidateRequest(wanted=wanted, channels=channels, channel_size=25, user_vector=USER)
        return await self.service.use_cases.find(self.tenant, request)

    @property
    def behaviour(self) -> BehaviourVectors:
        assert self.trainer.lists.behaviour is not None
        return self.trainer.lists.behaviour


@asynccontextmanager
async def replica(milvus_uri: str, tenant: str, vectors_uri: str = "", **settings: int) -> AsyncIterator[Replica]:
    async with (
        MilvusConnection(MilvusConfig(milvus_uri)) as milvus,
        MilvusConnection(MilvusConfig(vectors_uri or milvus_uri, seconds=1.0)) as other,
    ):
        collections, trainer = Collections(milvus, IndexSettings()), Trainer()
        vectors = MilvusBehaviour(Collections(other, IndexSettings()))
        made = RetrievalSettings(milvus_uri=milvus_uri, content_seconds=20.0, **settings)
        service = core(MilvusProducts(collections), MilvusPassages(collections), vectors, trainer, made)
        store = StoreBehaviour(vectors, trainer, FakeRecord("r1"), made.behaviour_memory_bytes, grace_seconds=0.0)
        cold = ColdVectors(service.nearest, Encoder(), vectors)
        await service.indexes.sync()
        yield Replica(service, trainer, KeepBehaviour(service.indexes, trainer, cold, store, 1.0), vectors, tenant)


@pytest.fixture
async def tenant(milvus_uri: str) -> str:
    """A tenant with an index of products; every tenth is not available."""
    name = f"t{uuid.uuid4().hex[:10]}"
    products = [
        IndexedProduct(
            Product(one, (CATEGORIES[number % 2],), "", 1, number % 10 != 3, 1, 1), np.ones(2, np.float32), ""
        )
        for number, one in enumerate(IDS)
    ]
    async with replica(milvus_uri, name) as one:
        await one.service.use_cases.manage.begin(name, "m", 2)
        await one.service.use_cases.write.upsert(name, products, "m", "")
    return name


def expected(category: str | None = None) -> list[str]:
    rows = [n for n in range(COUNT) if n % 10 != 3 and (category is None or CATEGORIES[n % 2] == category)]
    return [IDS[row] for row in sorted(rows, key=lambda row: -float(VECTORS[row] @ USER))[:25]]


def ids(found: FoundCandidates) -> list[str]:
    return [found.table.ids[row] for row in found.candidates.rows.tolist()]


@pytest.mark.parametrize("memory", [0, 10**9])
async def test_milvus_brings_what_memory_would(milvus_uri: str, tenant: str, memory: int) -> None:
    async with replica(milvus_uri, tenant, exact_scan_products=0, behaviour_memory_bytes=memory) as one:
        assert await one.keep.look(tenant) == COUNT - LEARNT
        assert (one.behaviour.searchable, one.behaviour.held is None) == (True, memory == 0)
        for category in (None, *CATEGORIES):
            found = await one.find(ProductFilter(categories=frozenset({category} if category else ())))
            assert ids(found) == expected(category)
            assert found.failed == []
            products = [VECTORS[IDS.index(product)] @ USER for product in ids(found)]
            assert found.behaviour_scores.tolist() == pytest.approx(products, rel=1e-4)
        both = await one.find(ProductFilter(), (Channel.POPULAR, Channel.BEHAVIOUR))
        products = [VECTORS[IDS.index(product)] @ USER for product in ids(both)]
        assert both.behaviour_scores.tolist() == pytest.approx(products, rel=1e-4), "also of what POPULAR brought"


async def test_a_second_replica_writes_and_encodes_nothing_again(milvus_uri: str, tenant: str) -> None:
    for run in range(2):
        async with replica(milvus_uri, tenant, exact_scan_products=0, behaviour_memory_bytes=0) as one:
            if run:
                assert await one.vectors.whole(BehaviourIndex(tenant, "r1", DIMENSION))
            await one.keep.look(tenant)
            assert await one.vectors.count(BehaviourIndex(tenant, "r1", DIMENSION)) == COUNT
            assert ids(await one.find(ProductFilter())) == expected()


async def test_a_lost_collection_is_noticed_reported_and_filled_again(milvus_uri: str, tenant: str) -> None:
    async with replica(milvus_uri, tenant, exact_scan_products=0, behaviour_memory_bytes=0) as one:
        await one.keep.look(tenant)
        await one.vectors.drop(BehaviourIndex(tenant, "r1", DIMENSION))
        found = await one.find(ProductFilter(), (Channel.POPULAR, Channel.BEHAVIOUR))
        assert [failed.channel for failed in found.failed] == [Channel.BEHAVIOUR]
        assert len(ids(found)) == 25
        assert found.behaviour_scores.tolist() == []
        await one.keep.look(tenant)
        assert ids(await one.find(ProductFilter())) == expected(), "memory serves what was read again"
        await one.keep.look(tenant)
        assert one.behaviour.held is None
        assert ids(await one.find(ProductFilter())) == expected()


async def test_without_a_server_for_its_vectors_memory_serves_them(milvus_uri: str, tenant: str) -> None:
    async with replica(
        milvus_uri, tenant, "http://127.0.0.1:1", exact_scan_products=0, behaviour_memory_bytes=0
    ) as one:
        with pytest.raises(MercatoError):
            await one.keep.look(tenant)
        found = await one.find(ProductFilter())
        assert (ids(found), found.failed) == (expected(), [])
        one.behaviour.stored = len(one.behaviour)
        one.behaviour.let_go()
        with pytest.raises(Unavailable):
            await one.find(ProductFilter())
