"""A check of every tenant, again and again, for a background task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from shared.context.request import use_tenant
from shared.errors.base import MercatoError, Unavailable
from shared.telemetry.logs import logger

SOON_SECONDS = 1.0

_log = logger("tenant_checks")


async def keep_checking(
    tenants: Callable[[], Awaitable[Sequence[str]]], check: Callable[[str], Awaitable[None]], seconds: float
) -> None:
    """Runs ``check`` for each of ``tenants`` at once and then every ``seconds``, until cancelled.

    Soon again while something does not answer (Unavailable); other errors of ours are logged and end the round.
    """
    while True:
        pause = seconds
        try:
            for tenant in await tenants():
                with use_tenant(tenant):
                    await check(tenant)
        except Unavailable:
            pause = SOON_SECONDS
        except MercatoError as error:
            _log.warning("check failed", error=str(error))
        await asyncio.sleep(pause)
