"""The contract on Milvus, and what only a server can be asked."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from services.retrieval.adapters.milvus.behaviour import MilvusBehaviour
from services.retrieval.adapters.milvus.collection import Collections
from services.retrieval.adapters.milvus.connection import MilvusConfig, MilvusConnection
from services.retrieval.adapters.milvus.names import BEHAVIOUR, name_of
from services.retrieval.adapters.milvus.schema import IndexSettings
from services.retrieval.domain.behaviour import BehaviourIndex
from tests.contract.retrieval.behaviour_indexes import USER, BehaviourIndexesContract, index

__all__ = ["index"]


@pytest.fixture
async def stored(milvus_uri: str) -> AsyncIterator[MilvusBehaviour]:
    async with MilvusConnection(MilvusConfig(milvus_uri)) as connection:
        yield MilvusBehaviour(Collections(connection, IndexSettings()))


class TestMilvusBehaviour(BehaviourIndexesContract):
    pass


async def test_one_that_was_cut_off_before_it_had_an_index_is_finished(
    stored: MilvusBehaviour, index: BehaviourIndex, milvus_uri: str
) -> None:
    client = MilvusClient(milvus_uri)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=512)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=index.dimension)
    client.create_collection(name_of(BEHAVIOUR, index.tenant, index.release_id, 1, index.dimension), schema=schema)
    client.close()
    await stored.open(index)
    await stored.upsert(index, ["a"], np.ones((1, 2), np.float32))
    assert [hit.product_id for hit in await stored.search(index, USER, 5)] == ["a"]


async def test_the_widest_search_and_the_longest_list_of_names_are_answered(
    stored: MilvusBehaviour, index: BehaviourIndex
) -> None:
    await stored.open(index)
    values = np.stack([np.arange(3000), np.zeros(3000)], axis=1).astype(np.float32)
    await stored.upsert(index, [f"p{number}" for number in range(3000)], values)
    assert await stored.count(index) == 3000
    hits = await stored.search(index, USER, 10_000)
    assert [hit.product_id for hit in hits] == [f"p{number}" for number in reversed(range(3000))]
    named = await stored.search(index, USER, 3, [f"p{number}" for number in range(1000)])
    assert [hit.product_id for hit in named] == ["p999", "p998", "p997"]
