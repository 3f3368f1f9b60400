"""Certificates that expire while everybody works, and are replaced later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

from services.cli.errors import CliError
from services.cli.faults.measure import Fault, Injection
from services.cli.faults.place import Place
from services.cli.faults.traffic import Traffic
from services.supervisor.services import SERVICES

EXPIRED_SECONDS = 15.0
ENDED, BEGUN = timedelta(seconds=-1), timedelta(hours=1)


def certificate_faults() -> list[Fault]:
    """On a place with mutual TLS."""
    how = f"files replaced by expired ones, by new ones after {EXPIRED_SECONDS:g} s"
    return [
        Fault("ranking's certificate expired", how, _expired(["ranking"]), EXPIRED_SECONDS),
        Fault("gateway's certificate expired", how, _expired(["gateway"]), EXPIRED_SECONDS),
        Fault("all certificates expired", how, _expired(list(SERVICES)), EXPIRED_SECONDS),
    ]


def _expired(names: Collection[str]) -> Injection:
    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        authority = place.authority
        if authority is None:
            raise CliError("this place has no certificates")
        for name in names:
            authority.renew(name, lifetime=ENDED, backdated=BEGUN)
        try:
            yield
        finally:
            for name in names:
                authority.renew(name)

    return inject
