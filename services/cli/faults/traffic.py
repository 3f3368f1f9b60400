"""Steady traffic in an open model: requests come at their rate, however long the ones before take."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from mercato.errors.v1.error_reason_pb2 import ErrorReason
from mercato.gateway.v1 import (
    product_service_pb2,
    recommendation_service_pb2,
    search_service_pb2,
    support_service_pb2,
    user_event_service_pb2,
)
from mercato.gateway.v1.item_result_pb2 import ItemError
from mercato.gateway.v1.product_pb2 import Product
from mercato_client import AsyncMercato

from services.cli.client import Gateway
from services.cli.errors import CliError
from services.cli.faults.answers import Answer, Outcome, of_error, of_stages
from services.cli.faults.ledger import Ledger
from services.cli.faults.material import PRODUCTS, QUERIES, QUESTIONS, person, product, product_id, view
from services.cli.importing.items import PRODUCTS as PRODUCT_KIND
from services.cli.importing.items import Batch
from services.cli.importing.rejects import RejectsFile
from services.cli.importing.stream import ImportStream, Tally

EVENTS_A_BATCH, PRODUCTS_A_BATCH = 5, 5
BATCH_SECONDS = 1.0
FIRST_RESEND_SECONDS, LONGEST_RESEND_SECONDS = 0.5, 4.0
"""Pauses of a caller before it sends again what was not acknowledged, doubled each time."""
LAST_SECONDS = 60.0
STALE = "STALE_UPDATE"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: how many a second, and how long its callers wait."""

    name: str
    per_second: float
    deadline_seconds: float
    call: Callable[[int, float], Awaitable[tuple[Outcome, tuple[str, ...]]]]
    """Gets a number and the deadline."""


@dataclass(slots=True)
class Traffic:
    """`calls` repeats as the Python client for shops does; `streams` carries the command's importer."""

    calls: AsyncMercato
    streams: Gateway
    ledger: Ledger
    folder: Path
    answers: list[Answer] = field(default_factory=list)
    releases: Counter[str] = field(default_factory=Counter)
    """Recommendations by the release that made them."""
    _number: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    _updates: int = 0
    _running: set[asyncio.Task[Any]] = field(default_factory=set)
    _stopped: bool = False

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Runs while the block runs; leaving waits until everything is answered and acknowledged."""
        self._stopped = False
        streams = [asyncio.create_task(self._tick(kind)) for kind in self._kinds()]
        importing = asyncio.create_task(self._import())
        try:
            yield
        finally:
            self._stopped = True
            for stream in streams:
                stream.cancel()
            async with asyncio.timeout(LAST_SECONDS):
                await asyncio.gather(*self._running, importing)

    def _kinds(self) -> list[Kind]:
        return [
            Kind("recommend", 6, 2.5, self._recommend),
            Kind("similar", 3, 2.5, self._similar),
            Kind("search", 3, 3.5, self._search),
            Kind("ask", 1, 5.0, self._ask),
            Kind("write events", 4, 3.0, self._write),
            Kind("update offer", 2, 3.0, self._update),
        ]

    async def _tick(self, kind: Kind) -> None:
        due = time.monotonic()
        while True:
            self._number += 1
            task = asyncio.create_task(self._timed(kind, self._number))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            due += 1 / kind.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _timed(self, kind: Kind, number: int) -> None:
        began = time.monotonic()
        try:
            outcome, detail = await kind.call(number, kind.deadline_seconds)
        except grpc.aio.AioRpcError as error:
            outcome, detail = of_error(error)
        seconds = time.monotonic() - began
        self.answers.append(Answer(kind.name, began, seconds, outcome, detail))

    async def _recommend(self, number: int, deadline: float) -> tuple[Outcome, tuple[str, ...]]:
        request = recommendation_service_pb2.RecommendRequest(user_id=person(number), page_size=10)
        answer = await self.calls.recommendations.Recommend(request, timeout=deadline)
        self.releases[answer.release_id] += 1
        return of_stages(answer.missing_stages) if answer.results else (Outcome.FAILED, ("an empty list",))

    async def _similar(self, number: int, deadline: float) -> tuple[Outcome, tuple[str, ...]]:
        wanted = product_id(number % PRODUCTS)
        request = recommendation_service_pb2.SimilarProductsRequest(product_id=wanted, page_size=10)
        answer = await self.calls.recommendations.SimilarProducts(request, timeout=deadline)
        return of_stages(answer.missing_stages)

    async def _search(self, number: int, deadline: float) -> tuple[Outcome, tuple[str, ...]]:
        # A query that is asked for the first time cannot be answered from memory.
        query = f"{QUERIES[number % len(QUERIES)]} {number % 1_000_000}"
        request = search_service_pb2.SearchRequest(query=query, user_id=person(number), page_size=10)
        answer = await self.calls.searching.Search(request, timeout=deadline)
        return of_stages(answer.missing_stages)

    async def _ask(self, number: int, deadline: float) -> tuple[Outcome, tuple[str, ...]]:
        request = support_service_pb2.AskRequest(question=QUESTIONS[number % len(QUESTIONS)])
        call = self.calls.support.Ask(request, timeout=deadline)
        ended = False
        async for part in call:
            ended = part.HasField("conclusion")
        return (Outcome.FULL, ()) if ended else (Outcome.FAILED, ("an answer without an end",))

    async def _write(self, number: int, deadline: float) -> tuple[Outcome, tuple[str, ...]]:
        ids = [f"fault-{number}-{place}" for place in range(EVENTS_A_BATCH)]
        events = [view(one, f"visitor-{number % 5000}", number + place) for place, one in enumerate(ids)]
        self.ledger.unanswered_events.update(ids)
        request = user_event_service_pb2.WriteUserEventsRequest(events=events)

        async def send() -> str:
            answer = await self.calls.events.WriteUserEvents(request, timeout=deadline)
            refused = {error.index for error in answer.rejected}
            self.ledger.events.update(one for place, one in enumerate(ids) if place not in refused)
            return _reason(answer.rejected)

        return await self._stored(send)

    async def _update(self, number: int, deadline: float) -> tuple[Outcome, tuple[str, ...]]:
        # The second half of the products, one after another; the import writes the first.
        self._updates += 1
        wanted, units = product_id(PRODUCTS // 2 + self._updates % (PRODUCTS // 2)), 1 + self._updates % 97
        request = product_service_pb2.UpdateOffersRequest()
        offer = request.offers.add(product_id=wanted)
        offer.price.currency_code, offer.price.units = "USD", units
        offer.offer_time.GetCurrentTime()
        self.ledger.price_sent(wanted, units)

        async def send() -> str:
            answer = await self.calls.products.UpdateOffers(request, timeout=deadline)
            reason = _reason(answer.rejected)
            if reason in ("", STALE):  # stale: an earlier attempt was stored
                self.ledger.price_stored(wanted, units)
            return "" if reason == STALE else reason

        return await self._stored(send)

    async def _stored(self, send: Callable[[], Awaitable[str]]) -> tuple[Outcome, tuple[str, ...]]:
        """How the first attempt ended; what was not acknowledged is sent until it is, so that nothing is lost.

        `send` returns the reason for which an item was refused.
        """

        async def persist() -> None:
            pause = FIRST_RESEND_SECONDS
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_RESEND_SECONDS)
                with suppress(grpc.aio.AioRpcError):
                    if not await send():
                        return

        try:
            ended: tuple[Outcome, tuple[str, ...]] = (Outcome.FULL, ())
            if reason := await send():
                ended = Outcome.REFUSED, (reason,)
        except grpc.aio.AioRpcError as error:
            ended = of_error(error)
        if ended[0] is not Outcome.FULL:
            task = asyncio.create_task(persist())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return ended

    async def _import(self) -> None:
        """One long stream of product changes, through the importer of the command."""
        sent: list[list[Product]] = []

        def batches() -> Iterator[Batch]:  # read in a thread
            while not self._stopped:
                time.sleep(BATCH_SECONDS)
                sent.append(self._changes(len(sent)))
                yield Batch(list(sent[-1]), [("made", 0)] * PRODUCTS_A_BATCH)

        acknowledged = 0

        def note(tally: Tally, text: str) -> None:
            nonlocal acknowledged
            if text:
                self._note_import(Outcome.REFUSED, "CONNECTION_LOST")
            while (acknowledged + 1) * PRODUCTS_A_BATCH <= tally.answered:
                for one in sent[acknowledged]:
                    self.ledger.price_stored(one.product_id, one.price.units)
                acknowledged += 1
                self._note_import(Outcome.FULL)

        with RejectsFile(self.folder / "rejects.jsonl") as rejects:
            try:
                await ImportStream(self.streams, PRODUCT_KIND, rejects, note).run(batches())
            except (grpc.aio.AioRpcError, CliError) as error:
                self._note_import(Outcome.FAILED, str(error).partition("\n")[0])

    def _note_import(self, outcome: Outcome, *detail: str) -> None:
        """A batch was acknowledged, or the stream was lost: the importer opens it again."""
        self.answers.append(Answer("import", time.monotonic(), 0.0, outcome, detail))

    def _changes(self, batch: int) -> list[Product]:
        """New titles and prices, each product once in 40 batches."""
        self._number += 1
        first = (batch * PRODUCTS_A_BATCH) % (PRODUCTS // 2)
        changed = [product(first + place, self._number % 10_000_000) for place in range(PRODUCTS_A_BATCH)]
        for one in changed:
            self.ledger.price_sent(one.product_id, one.price.units)
        return changed


def _reason(rejected: Sequence[ItemError]) -> str:
    """Why the first of the items was refused; empty: none was."""
    return ErrorReason.Name(rejected[0].reason).removeprefix("ERROR_REASON_") if rejected else ""
