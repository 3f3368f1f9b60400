"""The bound of the cache in memory."""

from services.encoder.adapters.memory_cache import ENTRY_BYTES, MemoryCache

ENTRY = ENTRY_BYTES + 1 + 100


def vector(letter: bytes) -> dict[bytes, bytes]:
    return {letter: letter * 100}


async def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(2 * ENTRY)
    await cache.put_many(vector(b"a") | vector(b"b"))
    await cache.get_many([b"a"])
    await cache.put_many(vector(b"c"))
    assert set(await cache.get_many([b"a", b"b", b"c"])) == {b"a", b"c"}
    assert cache.used_bytes == 2 * ENTRY


async def test_an_overwritten_entry_is_counted_once() -> None:
    cache = MemoryCache(10 * ENTRY)
    for _ in range(5):
        await cache.put_many(vector(b"a"))
    assert (len(cache), cache.used_bytes) == (1, ENTRY)


async def test_one_put_larger_than_the_bound_leaves_the_bound_kept() -> None:
    cache = MemoryCache(3 * ENTRY)
    await cache.put_many({bytes([letter]): b"x" * 100 for letter in range(50)})
    assert len(cache) == 3
    assert cache.used_bytes <= 3 * ENTRY


async def test_a_bound_of_zero_remembers_nothing() -> None:
    cache = MemoryCache(0)
    await cache.put_many(vector(b"a"))
    assert await cache.get_many([b"a"]) == {}
    assert cache.used_bytes == 0
