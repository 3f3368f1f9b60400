"""Identical work is done once, for as long as anybody waits for it."""

import asyncio
from collections.abc import Mapping

import pytest

from services.encoder.flights import Deliver, Flights


class Kitchen:
    """Work that goes on when it is told to."""

    def __init__(self) -> None:
        self.begun: list[list[bytes]] = []
        self.cancelled = 0
        self.go = asyncio.Event()
        self.early: set[bytes] = set()
        self.error: Exception | None = None
        self.flights = Flights(self._work)

    async def _work(self, texts: Mapping[bytes, str], deliver: Deliver) -> None:
        self.begun.append(list(texts))
        for key in self.early & set(texts):
            deliver(key, b"early " + key)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        for key in texts:
            deliver(key, b"made " + key)

    def ask(self, *keys: bytes) -> "asyncio.Task[dict[bytes, bytes]]":
        return asyncio.create_task(self.flights.vectors({key: key.decode() for key in keys}))

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.begun) < count:
                await asyncio.sleep(0)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def kitchen() -> Kitchen:
    return Kitchen()


async def test_a_second_request_joins_and_begins_only_the_rest(kitchen: Kitchen) -> None:
    first, second = kitchen.ask(b"a", b"b"), kitchen.ask(b"b", b"c")
    await kitchen.until_begun(2)
    kitchen.go.set()
    assert await first == {b"a": b"made a", b"b": b"made b"}
    assert await second == {b"b": b"made b", b"c": b"made c"}
    assert kitchen.begun == [[b"a", b"b"], [b"c"]]
    await settle()
    assert len(kitchen.flights) == 0


async def test_work_goes_on_when_the_one_who_began_leaves(kitchen: Kitchen) -> None:
    first, second = kitchen.ask(b"a"), kitchen.ask(b"a")
    await settle()
    first.cancel()
    await settle()
    kitchen.go.set()
    assert await second == {b"a": b"made a"}
    assert (kitchen.begun, kitchen.cancelled) == ([[b"a"]], 0)


async def test_work_ends_when_the_last_one_leaves(kitchen: Kitchen) -> None:
    waiting = [kitchen.ask(b"a"), kitchen.ask(b"a")]
    await settle()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    late = kitchen.ask(b"a")
    await kitchen.until_begun(2)
    assert kitchen.cancelled == 1
    kitchen.go.set()
    assert await late == {b"a": b"made a"}


async def test_a_failure_reaches_everyone_and_is_forgotten(kitchen: Kitchen) -> None:
    kitchen.error = ValueError("broken")
    waiting = [kitchen.ask(b"a", b"b"), kitchen.ask(b"b")]
    kitchen.go.set()
    assert [str(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == ["broken", "broken"]
    kitchen.error = None
    assert await kitchen.ask(b"a") == {b"a": b"made a"}


async def test_one_who_joins_does_not_wait_for_the_whole_work(kitchen: Kitchen) -> None:
    kitchen.early = {b"a"}
    slow, quick = kitchen.ask(b"a", b"b"), kitchen.ask(b"a")
    assert await quick == {b"a": b"early a"}
    assert not slow.done()
    kitchen.go.set()
    assert (await slow)[b"b"] == b"made b"


async def test_work_that_forgets_a_text_is_an_error_not_a_hang() -> None:
    async def lazy(texts: Mapping[bytes, str], deliver: Deliver) -> None:
        deliver(b"a", b"x")

    with pytest.raises(RuntimeError, match="without a vector"):
        await Flights(lazy).vectors({b"a": "a", b"b": "b"})
