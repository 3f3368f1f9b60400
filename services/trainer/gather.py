"""Gathers what a job learns from: events of people, what the catalogue says of products, their text vectors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from services.trainer.datasets.amounts import amounts_of
from services.trainer.datasets.card import DataCard, Provenance
from services.trainer.datasets.collector import EventCollector
from services.trainer.datasets.content import CatalogRow, item_content
from services.trainer.datasets.events import EventLog, Report
from services.trainer.datasets.impressions import ImpressionConfig, join_outcomes
from services.trainer.datasets.store import DataSet, write_data_set
from services.trainer.domain import Floats
from services.trainer.errors import NothingToLearn
from services.trainer.learning.interactions import EventKind
from services.trainer.ports import CatalogSource, EventSource, VectorSource
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

DAY_S = 86_400
Facts = tuple[dict[str, CatalogRow], Floats | None]
"""Catalogue rows and text vectors."""
_log = logger("gather")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where data come from."""

    events: EventSource
    catalog: CatalogSource
    vectors: VectorSource


class Gather:
    """Writes data sets."""

    def __init__(self, sources: Sources, history_days: int, now: Callable[[], float] = time.time) -> None:
        self._sources = sources
        self._history_days = history_days
        self._now = now

    async def __call__(self, tenant: str, folder: Path, report: Report, *, with_vectors: bool) -> DataCard:
        """Writes the current tenant's data set into a new folder. Raises NothingToLearn, Unavailable."""
        log = await self._events(report)
        if log is None or not (log.kinds == EventKind.PURCHASE).any():
            raise NothingToLearn
        report("reading the catalogue", 0, len(log.product_ids))
        rows = await self._sources.catalog.rows(log.product_ids)
        vectors = await self._vectors(log.product_ids, report) if with_vectors else None
        return await asyncio.to_thread(self._write, tenant, folder, log, (rows, vectors), report)

    async def _events(self, report: Report) -> EventLog | None:
        collector = EventCollector(report)
        report("reading events", 0, 0)
        async for chunk in self._sources.events.read(since_s=int(self._now()) - self._history_days * DAY_S):
            collector.add(chunk)
        return await asyncio.to_thread(collector.finish)

    async def _vectors(self, product_ids: tuple[str, ...], report: Report) -> Floats | None:
        """Text vectors `[P, T]`; None where the index cannot give them: then products have no text to learn from."""
        found: dict[str, Floats] = {}
        try:
            async for ids, vectors in self._sources.vectors.read():
                found.update(zip(ids, vectors, strict=True))
                report("reading text vectors", len(found), 0)
        except MercatoError as error:
            _log.warning("learning without text vectors", error=str(error))
            return None
        if not found:
            return None
        nothing = np.zeros_like(next(iter(found.values())))
        return np.stack([found.get(product_id, nothing) for product_id in product_ids])

    def _write(
        self,
        tenant: str,
        folder: Path,
        log: EventLog,
        facts: Facts,
        report: Report,
    ) -> DataCard:
        rows, vectors = facts
        content = item_content(log.product_ids, rows, vectors)
        data = DataSet(
            user_keys=log.user_keys,
            interactions=log.interactions(amounts_of(log, content.prices)),
            impressions=join_outcomes(log, ImpressionConfig()),
            content=content,
        )
        about = Provenance(
            source=f"events of the tenant {tenant!r}",
            filters=(
                f"events of the last {self._history_days} days",
                "no quarantined events, no erased people",
                "a product counts once in an event",
                "amounts: units by the event's price, else the product's last one, else the catalogue's of today",
            ),
            pseudonymisation="HMAC-SHA256 of tenant and person",
            code_version=_version(),
            create_time_s=int(self._now()),
        )
        return write_data_set(folder, data, about, report)


def _version() -> str:
    try:
        return metadata.version("mercato")
    except metadata.PackageNotFoundError:
        return "source"
