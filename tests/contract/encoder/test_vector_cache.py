"""What every VectorCache keeps, on the fake and on the one in memory."""

from collections.abc import Callable

import pytest

from services.encoder.adapters.memory_cache import MemoryCache
from services.encoder.ports import VectorCache
from tests.fakes.encoder.vector_cache import FakeVectorCache

MAKERS: dict[str, Callable[[], VectorCache]] = {"fake": FakeVectorCache, "memory": lambda: MemoryCache(1_000_000)}


@pytest.fixture(params=MAKERS)
def cache(request: pytest.FixtureRequest) -> VectorCache:
    return MAKERS[request.param]()


async def test_unknown_keys_are_left_out(cache: VectorCache) -> None:
    await cache.put_many({b"a": b"1"})
    assert await cache.get_many([b"a", b"b"]) == {b"a": b"1"}


async def test_nothing_is_known_of_nothing(cache: VectorCache) -> None:
    await cache.put_many({})
    assert await cache.get_many([]) == {}


async def test_a_second_put_wins(cache: VectorCache) -> None:
    await cache.put_many({b"a": b"1", b"b": b"2"})
    await cache.put_many({b"a": b"3"})
    assert await cache.get_many([b"b", b"a"]) == {b"a": b"3", b"b": b"2"}


async def test_a_key_asked_for_twice_is_answered_once(cache: VectorCache) -> None:
    await cache.put_many({b"a": b"1"})
    assert await cache.get_many([b"a", b"a"]) == {b"a": b"1"}


async def test_what_was_answered_may_be_changed(cache: VectorCache) -> None:
    given = {b"a": b"1"}
    await cache.put_many(given)
    given[b"a"] = b"changed"
    answer = await cache.get_many([b"a"])
    answer.clear()
    assert await cache.get_many([b"a"]) == {b"a": b"1"}
