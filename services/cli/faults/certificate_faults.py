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
LAST_SECONDS = 4.0
"""Life of certificates that run out."""


def certificate_faults() -> list[Fault]:
    """On a place with mutual TLS."""
    expired = f"files replaced by ones that have expired, by good ones after {EXPIRED_SECONDS:g} s"
    out = f"certificates that end after {LAST_SECONDS:g} s, replaced after {EXPIRED_SECONDS:g} s"
    return [
        Fault("ranking's certificate expired", expired, _replaced(["ranking"], -1.0), EXPIRED_SECONDS),
        Fault("all certificates expired", expired, _replaced(list(SERVICES), -1.0), EXPIRED_SECONDS),
        Fault("all certificates ran out", out, _replaced(list(SERVICES), LAST_SECONDS), EXPIRED_SECONDS),
    ]


def _replaced(names: Collection[str], seconds: float) -> Injection:
    """Certificates that end `seconds` from now."""

    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        authority = place.authority
        if authority is None:
            raise CliError("this place has no certificates")
        for name in names:
            authority.renew(name, lifetime=timedelta(seconds=seconds), backdated=timedelta(hours=1))
        try:
            yield
        finally:
            for name in names:
                authority.renew(name)

    return inject
