"""Sees to it that the index holds every passage, also after it was lost or the encoder's model changed."""

from __future__ import annotations

from services.support.index_documents import IndexWorker
from services.support.ports import Systems
from shared.server.tenant_checks import keep_checking
from shared.telemetry.logs import logger

_log = logger("keep_index")


class IndexKeeper:
    """Runs beside the worker until cancelled."""

    def __init__(self, systems: Systems, worker: IndexWorker, check_seconds: float) -> None:
        self._systems = systems
        self._worker = worker
        self._check_seconds = check_seconds

    async def run(self) -> None:
        """Checks all tenants until cancelled."""
        await keep_checking(self._systems.repository.tenants, self.check, self._check_seconds)

    async def check(self, tenant: str) -> None:
        """Has all documents indexed again when passages of the encoder's model are missing. Raises Unavailable."""
        # In this order: what is indexed between the two reads makes the second number larger, never smaller.
        expected = await self._systems.repository.settled_passages(tenant)
        release = await self._systems.encoder.model_release()
        found = await self._systems.index.count(release)
        if found < expected:
            _log.warning("passages are missing, indexing again", model=release, found=found, expected=expected)
            await self._systems.feed.note_all(tenant)
            self._worker.wake()
