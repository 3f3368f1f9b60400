"""Clocks that jump: the wall clock of services, by libfaketime; monotonic clocks go on, as on a real machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from services.cli.errors import CliError
from services.cli.faults.measure import Fault, Injection
from services.cli.faults.place import Place
from services.cli.faults.replicas import ReplicaPlan
from services.cli.faults.traffic import Traffic

JUMPS: Mapping[str, str] = {"an hour ahead": "+3600", "an hour back": "-3600"}
JUMP_SECONDS = 15.0
OFFSET = "clock"
SPARED = "retrieval"
"""Sleeps in threads, which libfaketime refuses (EINVAL) as long as it leaves the monotonic clock alone."""
_PLACES = ("/usr/lib", "/usr/local/lib")


def clock_faults() -> list[Fault]:
    """Each jump, and back."""
    how = f"libfaketime in every service but {SPARED}, for {JUMP_SECONDS:g} s; callers and PostgreSQL keep theirs"
    return [Fault(f"clocks {name}", how, _jumped(offset), JUMP_SECONDS) for name, offset in JUMPS.items()]


def fake_clock(folder: Path) -> ReplicaPlan:
    """One process of each service, with a clock that can jump. Raises CliError without libfaketime."""
    found = next((path for place in _PLACES for path in Path(place).glob("**/faketime/libfaketimeMT.so.1")), None)
    if found is None:
        raise CliError("faults of clocks need libfaketime (Debian: the package of that name)")
    _set(folder, "+0")
    environment = {
        "LD_PRELOAD": str(found),
        "FAKETIME_TIMESTAMP_FILE": str(folder / OFFSET),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return ReplicaPlan(count=1, environment=environment, spared=(SPARED,))


def _set(folder: Path, offset: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{OFFSET}"
    draft.write_text(f"{offset}\n")
    draft.replace(folder / OFFSET)


def _jumped(offset: str) -> Injection:
    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        _set(place.folder, offset)
        try:
            yield
        finally:
            _set(place.folder, "+0")

    return inject
