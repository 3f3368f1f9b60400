"""Runs faults on a suite of their own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mercato_client import AsyncMercato
from mercato_client import Options as ClientOptions

from services.cli.client import connect
from services.cli.faults.filling import fill
from services.cli.faults.ledger import Ledger
from services.cli.faults.measure import Fault, Row, measure
from services.cli.faults.place import Place, Wanted, open_place
from services.cli.faults.traffic import Traffic
from services.cli.settings import CliSettings
from shared.client.target import target_of

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How faults are run."""

    say: Say
    models: Path | None = None
    """A model repository to use instead of writing one."""
    learn: bool = True
    """Whether answers are ordered by models learnt before."""
    only: str = ""


async def run_faults(faults: Sequence[Fault], folder: Path, options: Options, wanted: Wanted) -> AsyncIterator[Row]:
    """A row for each fault, in order, all on one suite that is started for them. Raises SupervisorError, CliError."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = replace(wanted, models=await asyncio.to_thread(_copied, options.models, folder))
    async with open_place(folder, wanted, options.say) as place, traffic_to(place, folder) as traffic:
        await fill(traffic.streams, traffic.ledger, folder, options.learn, options.say)
        for fault in faults:
            options.say(f"{fault.name}: {fault.how}")
            row = await measure(fault, place, traffic)
            options.say(summary(row))
            yield row


def _copied(models: Path | None, folder: Path) -> Path | None:
    """The models are damaged here: never those of somebody else."""
    if models is None:
        return None
    return shutil.copytree(models, folder / "models", dirs_exist_ok=True)


@asynccontextmanager
async def traffic_to(place: Place, folder: Path) -> AsyncIterator[Traffic]:
    """Traffic through the Python client for shops, with its retries."""
    target = target_of(place.address)[0]
    options, ca = ClientOptions(), ""
    if place.authority is not None:
        file = place.authority.certificate_file
        options, ca = ClientOptions(tls=True, ca=file.read_bytes()), str(file)
    async with AsyncMercato(target, options) as calls, connect(CliSettings(address=target, ca=ca)) as streams:
        yield Traffic(calls, streams, Ledger(), folder)


def summary(row: Row) -> str:
    """One line while it runs."""
    kinds, books = row.kinds.values(), row.audit
    refused = sum(sum(one.refused.values()) for one in kinds)
    failed = sum(sum(one.failed.values()) for one in kinds)
    back = "never" if row.recovered_seconds is None else f"{row.recovered_seconds:.1f} s"
    return (
        f"  {sum(one.full for one in kinds)} full, {sum(one.degraded for one in kinds)} degraded, {refused} refused, "
        f"{sum(one.late for one in kinds)} late, {failed} failed; back after {back}; lost {len(books.lost_events)} "
        f"events, {len(books.lost_changes)} changes; doubled {len(books.doubled_events)}; "
        f"wrong in the index {len(books.wrong_in_index)} {row.problem}"
    )
