"""Two replicas of each service behind client-side balancing are replaced one by one, under load, without a failed call.

What a cluster does: the new process is ready before its twin is told to go; the twin still takes calls for a moment
(the chart's preStop), then drains. Every process has a data folder of its own: nothing but databases, secrets and the
file of personal keys is shared.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import grpc
import pytest
from mercato.gateway.v1 import product_service_pb2, recommendation_service_pb2

from tests.e2e.conftest import MODELS
from tests.e2e.shop import Shop, purchase, until
from tests.suites.background_suite import BackgroundSuite, embedded
from tests.suites.replica import Replica, free_address

DOUBLED = ("catalog", "profile", "encoder", "retrieval", "ranking", "support", "gateway")
LEAD_SECONDS = 2
SECRETS = {
    "MERCATO_GATEWAY_TOKEN_KEY": "11" * 32,
    "MERCATO_PROFILE_PSEUDONYM_KEY": "22" * 32,
    "MERCATO_PROFILE_RECEIPT_KEY": "33" * 32,
}
BALANCED = (
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # As our clients have it: the default goes up to two minutes, and here a new process has the address of the old one.
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Replica, ...]]]:
    """By service; one trainer, two of everything else. Nothing has started."""
    folder = tmp_path_factory.mktemp("replicas")
    settings = embedded(folder / "systems", model_repository=MODELS)
    with BackgroundSuite(settings, {"postgres", "triton", "milvus"}) as systems:
        addresses = {name: [free_address() for _ in range(2)] for name in DOUBLED} | {"trainer": [free_address()]}
        environment = {**systems.suite.environment, **SECRETS, "MERCATO_TRAINER_TRAIN_HOURS": "0"}
        environment["MERCATO_PROFILE_PERSONAL_KEYS"] = str(folder / "personal.json")
        environment["MERCATO_RETRIEVAL_REFRESH_SECONDS"] = "2"  # each learns of what the other wrote
        for name, some in addresses.items():
            environment[f"MERCATO_{name.upper()}_ADDRESS"] = ",".join(some)
            environment[f"MERCATO_{name.upper()}_DRAIN_LEAD_SECONDS"] = str(LEAD_SECONDS)
        made = {
            name: tuple(Replica(name, one, folder / f"{name}-{n}", environment) for n, one in enumerate(some))
            for name, some in addresses.items()
        }
        yield made
        for replica in (one for pair in made.values() for one in pair):
            replica.kill()


@pytest.fixture
async def shop(replicas: dict[str, tuple[Replica, ...]]) -> AsyncIterator[Shop]:
    """A shop that has learnt, called as a plain client that knows both gateways calls it."""
    everything = [one for pair in replicas.values() for one in pair]
    for replica in everything:
        replica.start()
    await asyncio.gather(*(replica.serving() for replica in everything))
    target = "ipv4:" + ",".join(one.address for one in replicas["gateway"])
    async with grpc.aio.insecure_channel(target, options=BALANCED) as channel:
        shop = Shop(channel, "shop")
        await until(shop.status, 30)
        await shop.filled()
        yield shop


class Load:
    """Calls without a pause; every error and every answer that lacks something is kept."""

    def __init__(self, shop: Shop, release_id: str) -> None:
        self._shop, self._release_id = shop, release_id
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._ended = asyncio.Event()
        kinds = (self._recommend, self._search, self._write, self._read, self._similar, self._ask)
        self._tasks = [asyncio.create_task(self._caller(one.__name__.strip("_"), one)) for one in kinds]

    async def end(self) -> None:
        """Lets running calls finish."""
        self._ended.set()
        await asyncio.gather(*self._tasks)

    async def _caller(self, name: str, call: Callable[[], Awaitable[str]]) -> None:
        while not self._ended.is_set():
            try:
                problem = await call()
            except grpc.aio.AioRpcError as error:
                problem = f"{error.code().name}: {error.details()}"
            if problem:
                self.failed[f"{name}: {problem}"] += 1
            self.answered[name] += 1

    async def _recommend(self) -> str:
        answer = await self._shop.recommend("user-1", page_size=6)
        return self._lacks(answer.missing_stages, len(answer.results), answer.release_id)

    async def _search(self) -> str:
        answer = await self._shop.search("milk")
        return self._lacks(answer.missing_stages, len(answer.results), self._release_id)

    async def _similar(self) -> str:
        request = recommendation_service_pb2.SimilarProductsRequest(product_id="dairy-0")
        answer = await self._shop.call(self._shop.recommendations.SimilarProducts, request)
        return self._lacks(answer.missing_stages, len(answer.results), self._release_id)

    async def _write(self) -> str:
        number = self.answered["write"]
        answer = await self._shop.write([purchase(f"rolling-{number}", f"rolling-{number}", ["dairy-0"], 0.1)])
        return "" if answer.accepted_count + answer.duplicate_count == 1 else f"not stored: {answer}"

    async def _read(self) -> str:
        request = product_service_pb2.GetProductRequest(product_id="dairy-0")
        answer = await self._shop.call(self._shop.products.GetProduct, request)
        return "" if answer.product.product_id == "dairy-0" else "another product"

    async def _ask(self) -> str:
        parts = await self._shop.ask("How long can I return something?")
        return (
            "" if parts[-1].conclusion.confidence > 0 and parts[0].HasField("citation") else f"another answer: {parts}"
        )

    def _lacks(self, missing: object, results: int, release_id: str) -> str:
        if missing or not results:
            return f"missing stages {missing}, {results} results"
        return "" if release_id == self._release_id else f"release {release_id!r}"


async def everywhere(shop: Shop, release_id: str) -> bool:
    """Whether all replicas know the products and the release: many answers in a row are whole."""
    trial = Load(shop, release_id)
    await asyncio.sleep(1)
    await trial.end()
    return not trial.failed


async def test_replacing_every_replica_of_every_service_fails_no_call(
    replicas: dict[str, tuple[Replica, ...]], shop: Shop
) -> None:
    release_id = (await shop.recommend("user-1")).release_id
    await until(lambda: everywhere(shop, release_id))
    load = Load(shop, release_id)
    during: dict[str, Counter[str]] = {}
    for name in DOUBLED:
        before = load.failed.copy()
        for replica in replicas[name]:
            await replica.drained()
            replica.start()
            await replica.serving()
        during[name] = load.failed - before
    await load.end()
    assert not +load.failed, {name: dict(found) for name, found in during.items() if found}
    assert len(load.answered) == 6
    assert min(load.answered.values()) > 10, load.answered
