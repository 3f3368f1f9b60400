"""Puts the demo shop into a running suite; what was done before is not done again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from mercato.gateway.v1.operations_service_pb2 import GetStatusRequest, GetStatusResponse
from mercato.gateway.v1.support_document_pb2 import SupportDocument
from rich.console import Console

from services.cli.client import Gateway
from services.cli.demo import shop as demo
from services.cli.demo.visitor import favourites, typical_household, visit
from services.cli.importing.items import DOCUMENTS, EVENTS, PRODUCTS, Batch, Kind, batched
from services.cli.importing.rejects import RejectsFile
from services.cli.importing.rows import Source
from services.cli.importing.stream import ImportStream, Tally
from services.cli.output import Meter

DOCUMENT_FOLDER = Path(__file__).parent / "documents"


@dataclass(frozen=True)
class Marker:
    """What of the demo is stored, and examples to try; kept beside the suite's data."""

    fraction: float = 1.0
    shift_weeks: int | None = None
    products: int = 0
    documents: int = 0
    events: int = 0
    complete: bool = False
    user: str = ""
    product_ids: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Marker:
        """The marker, or an empty one."""
        try:
            return cls(**orjson.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Replaces the file as a whole."""
        draft = path.with_suffix(".new")
        draft.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        draft.replace(path)

    def holds(self, status: GetStatusResponse) -> bool:
        """Whether the suite still has what was stored; less of it is somebody's doing, such as an erasure."""
        return self.complete and min(status.product_count, status.event_count, status.document_count) > 0


class DemoLoader:
    """Loads the demo through the public gateway. ``path`` is the marker's file."""

    def __init__(self, gateway: Gateway, out: Console, path: Path, rejects: Path) -> None:
        self._gateway = gateway
        self._out = out
        self._path = path
        self._rejects = rejects

    async def ensure(self, fraction: float) -> Marker:
        """The marker of the loaded demo; loads what is missing."""
        marker = Marker.read(self._path)
        status = await self._gateway.call(self._gateway.operations.GetStatus, GetStatusRequest())
        if marker.fraction == fraction and marker.holds(status):
            return marker
        same = marker.fraction == fraction and (status.event_count or status.product_count)
        shift = marker.shift_weeks if same else None  # times must not move when a load goes on
        with Meter(self._out, "reading the demo shop's purchases"):
            shop, weeks = await asyncio.to_thread(demo.load, fraction, shift)
        marker = Marker(fraction=fraction, shift_weeks=weeks)
        marker.write(self._path)
        return await self._load(marker, shop)

    async def _load(self, marker: Marker, shop: demo.Shop) -> Marker:
        user = await asyncio.to_thread(typical_household, shop)
        documents = list(iter_documents())
        products = await self._send(PRODUCTS, demo.iter_products(shop), len(shop.products))
        stored = await self._send(DOCUMENTS, iter(documents), len(documents))
        events = await self._send(EVENTS, demo.iter_purchases(shop), shop.basket_count)
        await self._send(EVENTS, iter(visit(shop, user)), 0)
        marker = replace(
            marker,
            products=products.answered - products.rejected,
            documents=stored.answered - stored.rejected,
            events=events.answered - events.rejected - events.counts["quarantined_count"],
            complete=True,
            user=user,
            product_ids=favourites(shop, user, 3),
        )
        marker.write(self._path)
        return marker

    async def _send(self, kind: Kind, items: Iterator[Any], total: int) -> Tally:
        """Imports items that are made while they are sent."""
        quiet = total == 0
        with RejectsFile(self._rejects) as sink:
            if quiet:
                return await ImportStream(self._gateway, kind, sink).run(_batches(kind, items))
            with Meter(self._out, f"importing {kind.name}", total=total, unit=kind.name) as meter:
                stream = ImportStream(self._gateway, kind, sink, _shower(meter))
                tally = await stream.run(_batches(kind, items))
                meter.update(tally.answered)
            if sink.count:
                self._out.print(f"  {sink.count} were rejected, see {sink.path}", markup=False)
        return tally


def iter_documents(folder: Path = DOCUMENT_FOLDER) -> Iterator[SupportDocument]:
    """The shop's policies."""
    for path in sorted(folder.glob("*.md")):
        for row in Source(path).rows():
            yield SupportDocument(**(row.values or {}), language_code="en")


def _batches(kind: Kind, items: Iterator[Any]) -> Iterator[Batch]:
    return batched(kind, ((item, ("demo", number)) for number, item in enumerate(items, 1)))


def _shower(meter: Meter) -> Callable[[Tally, str], None]:
    return lambda tally, note: meter.update(tally.answered, note=note)


def things_to_try(marker: Marker) -> Sequence[str]:
    """Commands with ids of the demo."""
    product = marker.product_ids[0] if marker.product_ids else ""
    return (
        f"mercato recommend --user {marker.user}",
        f"mercato recommend --user {marker.user} --new --explain",
        f"mercato similar --product {product}",
        'mercato search "frozen pizza"',
        'mercato ask "How long do I have to return something?"',
        f"mercato profile --user {marker.user}",
        "mercato status",
    )
