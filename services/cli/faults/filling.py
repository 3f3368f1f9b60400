"""Fills the shop and lets it learn, so that every stage of an answer has something to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
from mercato.gateway.v1 import operations_service_pb2 as pb
from mercato.gateway.v1 import recommendation_service_pb2

from services.cli.client import Gateway
from services.cli.errors import CliError
from services.cli.faults.ledger import Ledger
from services.cli.faults.material import DOCUMENTS, PRODUCTS, person, product, purchases
from services.cli.importing.items import DOCUMENTS as DOCUMENT_KIND
from services.cli.importing.items import EVENTS, Batch, Kind
from services.cli.importing.items import PRODUCTS as PRODUCT_KIND
from services.cli.importing.rejects import RejectsFile
from services.cli.importing.stream import ImportStream

POLL_SECONDS, PATIENCE_SECONDS = 0.2, 90.0


async def fill(gateway: Gateway, ledger: Ledger, folder: Path, learn: bool, on_line: Callable[[str], None]) -> None:
    """Products, half a year of purchases, documents, and a release that serves; `learn` includes models."""
    on_line("filling the shop ...")
    products = [product(number) for number in range(PRODUCTS)]
    await _import(gateway, PRODUCT_KIND, products, folder)
    await _import(gateway, DOCUMENT_KIND, DOCUMENTS, folder)
    events = list(purchases())
    await _import(gateway, EVENTS, events, folder)
    ledger.events |= {event.event_id for event in events}
    ledger.prices |= {one.product_id: one.price.units for one in products}
    await until(lambda: ready(gateway), "the services do not find each other")
    for kind in (pb.TRAINING_KIND_TABLES, *([pb.TRAINING_KIND_FULL] if learn else [])):
        on_line(f"training: {pb.TrainingKind.Name(kind).rpartition('_')[2].lower()} ...")
        await train(gateway, kind)
    await until(lambda: indexed(gateway), "the index does not catch up")


async def train(gateway: Gateway, kind: pb.TrainingKind.ValueType) -> str:
    """Learns a release, makes it current whatever its gate said of so small a shop, waits until it answers."""
    release = pb.Release()
    async for part in gateway.stream(gateway.operations.Train, pb.TrainRequest(kind=kind)):
        if part.HasField("release"):
            release = part.release
    if not release.current:
        request = pb.PromoteReleaseRequest(release_id=release.release_id)
        await gateway.call(gateway.operations.PromoteRelease, request)
    await until(lambda: answers_by(gateway, release.release_id), f"release {release.release_id} does not answer")
    return release.release_id


async def ready(gateway: Gateway) -> bool:
    """Whether the gateway finds every service healthy."""
    status = await gateway.call(gateway.operations.GetStatus, pb.GetStatusRequest(), 10.0)
    return all(one.healthy for one in status.components)


async def answers_by(gateway: Gateway, release_id: str) -> bool:
    """Whether a whole recommendation is made by this release."""
    request = recommendation_service_pb2.RecommendRequest(user_id=person(1), page_size=5)
    answer = await gateway.call(gateway.recommendations.Recommend, request)
    return answer.release_id == release_id and not answer.missing_stages


async def indexed(gateway: Gateway, but: int = 0) -> bool:
    """Whether the latest changes of all products, `but` a few, are in the index."""
    status = await gateway.call(gateway.operations.GetStatus, pb.GetStatusRequest(), 10.0)
    return status.product_count > 0 and status.unindexed_count <= but


async def until(condition: Callable[[], Any], otherwise: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for an awaitable condition; errors of calls count as not yet. Raises CliError."""
    try:
        async with asyncio.timeout(seconds):
            while not await _holds(condition):  # noqa: ASYNC110 - it is another process's condition
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise CliError(f"{otherwise} within {seconds:.0f} s") from None


async def _holds(condition: Callable[[], Any]) -> bool:
    try:
        return bool(await condition())
    except grpc.aio.AioRpcError:
        return False


async def _import(gateway: Gateway, kind: Kind, items: Sequence[Any], folder: Path) -> None:
    def batches() -> Iterator[Batch]:
        left = iter(items)
        while some := list(islice(left, kind.max_items)):
            yield Batch(some, [("made", number) for number in range(len(some))])

    with RejectsFile(folder / "rejects.jsonl") as rejects:
        tally = await ImportStream(gateway, kind, rejects).run(batches())
    if tally.rejected:
        raise CliError(f"{tally.rejected} {kind.name} were refused; see {folder / 'rejects.jsonl'}")
