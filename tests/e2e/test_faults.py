"""Every process is killed while the suite works: nothing acknowledged is lost or doubled, and Recommend always answers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from mercato.gateway.v1 import product_pb2, product_service_pb2, recommendation_pb2, user_event_pb2

from tests.e2e.conftest import Running
from tests.e2e.shop import Shop, products, purchase, until

STAGES = {
    "profile": {recommendation_pb2.STAGE_PROFILE},
    "retrieval": {recommendation_pb2.STAGE_RETRIEVAL},
    "ranking": {recommendation_pb2.STAGE_RANKING},
    "catalog": {recommendation_pb2.STAGE_CATALOG},
}
KILLED = ("profile", "retrieval", "ranking", "catalog", "encoder", "support", "trainer", "triton", "milvus", "postgres")


def kill(running: Running, unit: str) -> None:
    pid = running.suite.suite.unit(unit).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def filled(shop: Shop) -> bool:
    """Fills the shop; repeated by `until`, because a channel may still be waiting to reach a service killed before."""
    await shop.filled()
    return True


class Killer:
    """Kills a unit and waits until the supervisor has brought it back."""

    def __init__(self, running: Running, unit: str) -> None:
        self._running, self._unit = running, unit
        self._before = running.suite.suite.unit(unit)

    def kill(self) -> None:
        kill(self._running, self._unit)

    async def back(self) -> None:
        await asyncio.to_thread(self._running.suite.restarted, self._unit, self._before, 90)


@pytest.mark.parametrize("unit", KILLED)
async def test_recommend_never_fails_while_the_gateway_lives(running: Running, shop: Shop, unit: str) -> None:
    await until(lambda: filled(shop))
    killer = Killer(running, unit)
    missing: set[int] = set()
    empty = 0

    async def ask_until(done: asyncio.Event) -> None:
        nonlocal empty
        while not done.is_set():
            answer = await shop.recommend("user-1", page_size=5)
            missing.update(stage.stage for stage in answer.missing_stages)
            empty += not answer.results

    done = asyncio.Event()
    asking = [asyncio.create_task(ask_until(done)) for _ in range(3)]
    killer.kill()
    await killer.back()
    done.set()
    await asyncio.gather(*asking)
    assert empty == 0, "something useful can always be said"
    assert STAGES.get(unit, set()) <= missing, "a missing stage is named"

    async def whole_again() -> bool:
        return not (await shop.recommend("user-1", page_size=5)).missing_stages

    await until(whole_again)


def batches(prefix: str, count: int, size: int) -> list[list[user_event_pb2.UserEvent]]:
    return [
        [purchase(f"{prefix}-{batch}-{n}", f"buyer-{n % 7}", ["dairy-0", "coffee-1"], 1 + batch) for n in range(size)]
        for batch in range(count)
    ]


@pytest.mark.parametrize("unit", ["profile", "postgres"])
async def test_no_acknowledged_event_is_lost_or_doubled(running: Running, shop: Shop, unit: str) -> None:
    await shop.import_products(products())
    killer = Killer(running, unit)
    before = (await shop.status()).event_count
    work = batches(unit, 40, 50)
    first_kill = asyncio.Event()

    async def write(batch: Sequence[user_event_pb2.UserEvent]) -> None:
        async def acknowledged() -> bool:
            response = await shop.write(batch)
            assert response.accepted_count + response.duplicate_count == len(batch)
            return True

        await until(acknowledged, 90)

    async def writer(share: list[list[user_event_pb2.UserEvent]]) -> None:
        for number, batch in enumerate(share):
            if number == 3:
                first_kill.set()
            await write(batch)

    writing = [asyncio.create_task(writer(work[start::4])) for start in range(4)]
    await first_kill.wait()
    killer.kill()
    await asyncio.gather(*writing)
    await killer.back()

    async def counted() -> bool:
        return (await shop.status()).event_count == before + 40 * 50

    await until(counted)


@pytest.mark.parametrize("unit", ["catalog", "postgres", "encoder", "retrieval", "milvus", "triton"])
async def test_an_import_converges_whatever_dies(running: Running, shop: Shop, unit: str) -> None:
    items = [
        product_pb2.Product(
            product_id=f"n-{n:04d}",
            title=f"Article number {n}",
            category_path=["Things", f"Shelf {n % 9}"],
            price={"units": n % 50, "currency_code": "USD"},  # type: ignore[arg-type]
        )
        for n in range(600)
    ]
    killer = Killer(running, unit)
    stored: set[int] = set()

    async def requests(numbers: list[int]) -> AsyncIterator[product_service_pb2.ImportProductsRequest]:
        for number in numbers:
            yield product_service_pb2.ImportProductsRequest(products=items[number * 50 : number * 50 + 50])

    async def all_stored() -> bool:
        numbers = [number for number in range(12) if number not in stored]
        call = shop.products.ImportProducts(requests(numbers), metadata=shop.metadata)
        async for response in call:
            if not response.HasField("summary"):
                stored.add(numbers[response.batch_index])
                if len(stored) == 4:
                    killer.kill()
        return len(stored) == 12

    await until(all_stored, 90)
    await killer.back()
    await until(shop.indexed_now, 90)
    assert (await shop.status()).product_count == 600

    async def found() -> bool:
        page = await shop.search("article number", page_size=100)
        return len({result.product.product_id for result in page.results}) == 100 and not page.missing_stages

    await until(found, 60)


async def test_a_killed_gateway_comes_back(running: Running, shop: Shop) -> None:
    await shop.filled()
    killer = Killer(running, "gateway")
    token = (await shop.recommend("user-1")).attribution_token
    killer.kill()
    await killer.back()

    async def answers() -> bool:
        return bool((await shop.recommend("user-1")).results)

    await until(answers)
    click = user_event_pb2.UserEvent(
        event_id="after",
        event_type=user_event_pb2.USER_EVENT_TYPE_CLICK,
        user_id="user-1",
        attribution_token=token,
        products=[{"product_id": "dairy-0"}],  # type: ignore[list-item]
    )
    click.event_time.GetCurrentTime()
    assert (await shop.write([click])).accepted_count == 1, "tokens of before still hold"


async def test_calls_that_need_a_dead_service_say_so(running: Running, shop: Shop) -> None:
    await shop.filled()
    killer = Killer(running, "support")
    killer.kill()
    with pytest.raises(grpc.aio.AioRpcError) as error:
        while True:
            await shop.ask("How many days do I have to return a product?")
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    await killer.back()

    async def answered() -> bool:
        return len(await shop.ask("How many days do I have to return a product?")) > 1

    await until(answered)
