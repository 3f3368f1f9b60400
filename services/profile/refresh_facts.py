"""Keeps what the catalogue says of products seen in events. Writing and reading never wait for it."""

from __future__ import annotations

import asyncio

from services.profile.ports import Catalog, FactsStore
from shared.errors.base import Cancelled, DeadlineExceeded, MercatoError, Unavailable
from shared.telemetry.logs import logger
from shared.telemetry.tracing import work_span

_log = logger("facts")
BATCH = 1_000
_LONGEST_PAUSE_SECONDS = 15.0


class RefreshFacts:
    """A background worker; several replicas share the work."""

    def __init__(self, store: FactsStore, catalog: Catalog, interval_seconds: float = 1.0) -> None:
        self._store = store
        self._catalog = catalog
        self._interval = interval_seconds

    async def run(self) -> None:
        """Works until cancelled; pauses longer while the catalogue is down."""
        pause = self._interval
        while True:
            try:
                while await self.once():
                    pause = self._interval
            except MercatoError as error:
                _log.info("catalog does not answer", reason=str(error.reason), retry_in_seconds=pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def once(self) -> int:
        """Asks for one batch of each tenant; returns how many products were asked for.

        A catalogue that does not answer raises after all tenants had their turn; one that refuses to answer for a
        tenant is asked for its products again later. Neither keeps the facts of the other tenants.
        """
        asked, away = 0, None
        for tenant in await self._store.tenants():
            claimed = await self._store.claim(tenant, BATCH)
            if not claimed:
                continue
            try:
                with work_span("refresh facts", {"products": len(claimed)}):
                    facts = await self._catalog.facts(tenant, list(claimed))
            except (Unavailable, DeadlineExceeded, Cancelled) as error:
                await self._store.release(tenant, claimed)
                away = error
                continue
            except MercatoError as error:
                _log.warning("catalog refuses to tell facts", tenant=tenant, products=len(claimed), error=str(error))
                facts = {}
            changed = await self._store.save(tenant, claimed, facts)
            asked += len(claimed)
            _log.debug("facts asked for", asked=len(claimed), known=len(facts), changed=changed)
        if away is not None:
            raise away
        return asked
