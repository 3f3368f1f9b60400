"""Works off the change feed: encodes passages and writes them to the index, at least once and idempotently."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from services.support.ports import Change, Systems
from shared.context.request import use_tenant
from shared.context.waiting import happens
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger
from shared.telemetry.outbox import LAG
from shared.telemetry.tracing import work_span

CLAIMED_AT_ONCE = 16
LONGEST_WAIT_SECONDS = 30.0

_log = logger("index")


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """Times of the worker, in seconds."""

    poll_seconds: float
    lease_seconds: float


class IndexWorker:
    """Runs beside the servicer until cancelled."""

    def __init__(self, systems: Systems, policy: WorkerPolicy) -> None:
        self._systems = systems
        self._policy = policy
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Says that there is a new change."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled. Raises what the feed raises; the caller starts it again."""
        while True:
            if not await self.work_once():
                await self._rest()

    async def work_once(self) -> int:
        """Works off the changes that are due; returns how many were claimed."""
        changes = await self._systems.feed.claim(CLAIMED_AT_ONCE, self._policy.lease_seconds)
        claimed_at = time.monotonic()
        for change in changes:
            try:
                with work_span("index document"), use_tenant(change.tenant):
                    await self._apply(change)
                await self._systems.feed.finish(change)
                LAG.labels("documents").observe(change.waited_s + time.monotonic() - claimed_at)
            except MercatoError as error:
                wait = min(LONGEST_WAIT_SECONDS, 0.5 * 2.0 ** min(change.attempts, 10))
                _log.warning(
                    "passages not indexed", document_id=change.document_id, error=str(error), retry_seconds=wait
                )
                await self._systems.feed.put_back(change, str(error), wait)
        return len(changes)

    async def _apply(self, change: Change) -> None:
        passages = await self._systems.repository.document_passages(change.tenant, change.document_id)
        if not passages:
            await self._systems.index.delete(change.document_id)
            return
        texts = [passage.searchable for passage in passages]
        encoded = await self._systems.encoder.encode(texts)
        await self._systems.index.write(change.document_id, passages[0].revision, texts, encoded)

    async def _rest(self) -> None:
        self._woken.clear()
        await happens(self._woken, self._policy.poll_seconds)
