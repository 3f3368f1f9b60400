"""Works off the change feed: encodes products and writes them to the index, at least once and idempotently."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.catalog.domain import Change, StoredProduct
from services.catalog.encoded import write_encoded
from services.catalog.keep_index import IndexKeeper
from services.catalog.ports import Systems
from services.catalog.waker import Waker
from shared.context.request import use_deadline, use_tenant
from shared.errors.base import MercatoError, ResourceExhausted, Unavailable
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter
from shared.telemetry.outbox import LAG
from shared.telemetry.tracing import work_span

LONGEST_WAIT_SECONDS = 30.0
# A batch that fails more often is worked on product by product, so that one bad product stops no other.
ATTEMPTS_TOGETHER = 2
AWAY_SECONDS = 0.5

_log = logger("index")
_indexed = counter("catalog_indexed_products_total", "Changes written to the index.", ["kind"])
_failed = counter("catalog_index_failures_total", "Batches of changes that failed.", ["reason"])


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """Sizes and times of a worker; times in seconds."""

    batch: int
    poll_seconds: float
    lease_seconds: float


class IndexWorker:
    """Runs beside the servicer until cancelled; several may run, here and in other processes."""

    def __init__(self, systems: Systems, keeper: IndexKeeper, waker: Waker, policy: WorkerPolicy) -> None:
        self._systems = systems
        self._keeper = keeper
        self._waker = waker
        self._policy = policy

    async def run(self) -> None:
        """Works until cancelled. Raises what the feed raises; the caller starts it again."""
        while True:
            if not await self.work_once():
                await self._waker.wait(self._policy.poll_seconds)

    async def work_once(self) -> int:
        """Works off the oldest changes that are due; returns how many were claimed."""
        changes = await self._systems.feed.claim(self._policy.batch, self._policy.lease_seconds)
        if not changes:
            return 0
        claimed_at = time.monotonic()
        deadline = use_deadline(self._policy.lease_seconds * 0.8)
        with work_span("index products", {"changes": len(changes)}), use_tenant(changes[0].tenant), deadline:
            alone = max(change.attempts for change in changes) > ATTEMPTS_TOGETHER
            parts = [[change] for change in changes] if alone else [changes]
            for number, part in enumerate(parts):
                try:
                    await self._try(part, claimed_at)
                except (Unavailable, ResourceExhausted) as error:
                    left = [change for later in parts[number:] for change in later]
                    await self._put_back(left, error, AWAY_SECONDS, blamed=False)
                    break
        return len(changes)

    async def _try(self, changes: Sequence[Change], claimed_at: float) -> None:
        """Raises Unavailable and ResourceExhausted: then it is not the products' fault."""
        try:
            await self._apply(changes)
            await self._systems.feed.finish(changes)
            taken, lag = time.monotonic() - claimed_at, LAG.labels("products")
            for change in changes:
                lag.observe(change.waited_s + taken)
        except (Unavailable, ResourceExhausted):
            raise
        except MercatoError as error:
            attempts = max(change.attempts for change in changes)
            wait = min(LONGEST_WAIT_SECONDS, 0.5 * 2.0 ** min(attempts, 10))
            await self._put_back(changes, error, wait, blamed=True)

    async def _put_back(self, changes: Sequence[Change], error: MercatoError, wait: float, *, blamed: bool) -> None:
        _failed.labels(error.reason).inc()
        _log.warning("changes not indexed", count=len(changes), error=str(error), retry_seconds=wait)
        await self._systems.feed.put_back(changes, str(error), wait, blamed=blamed)

    async def _apply(self, changes: Sequence[Change]) -> None:
        await self._keeper.ensure(changes[0].tenant)
        by_id = {change.product_id: change for change in changes}
        products = await self._systems.repository.read(changes[0].tenant, list(by_id), basic=False)
        gone = {product_id: change.number for product_id, change in by_id.items() if product_id not in products}
        contents = [product for product in products.values() if _needs_content(product, by_id[product.product_id])]
        offers = [product for product in products.values() if not _needs_content(product, by_id[product.product_id])]
        if gone:
            await self._systems.index.delete(gone)
        if offers:
            await self._systems.index.update_offers(offers)
        await write_encoded(self._systems, contents)
        for kind, count in (("delete", len(gone)), ("offer", len(offers)), ("content", len(contents))):
            _indexed.labels(kind).inc(count)


def _needs_content(product: StoredProduct, change: Change) -> bool:
    """Whether more than the offer may have changed; it may when the product changed again since the claim."""
    return change.content or product.change_number != change.number
