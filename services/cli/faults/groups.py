"""Groups of faults: each runs on a suite prepared for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from services.cli.faults.certificate_faults import certificate_faults
from services.cli.faults.clock_faults import clock_faults, fake_clock
from services.cli.faults.disk_faults import disk_faults, small_disks
from services.cli.faults.faults import network_faults, process_faults
from services.cli.faults.measure import Fault, Row
from services.cli.faults.model_faults import model_faults
from services.cli.faults.place import Wanted
from services.cli.faults.replica_faults import replica_faults
from services.cli.faults.replicas import ReplicaPlan
from services.cli.faults.run import Options, run_faults


class Group(Protocol):
    """Runs the faults of one group whose names contain `options.only`."""

    def __call__(self, folder: Path, options: Options) -> AsyncIterator[Row]:
        """Rows in order. Raises SupervisorError, CliError."""


def _group(
    faults: Sequence[Fault],
    prepared: Callable[[Path], AbstractContextManager[None]] = lambda folder: nullcontext(),
    place: Callable[[Path], Wanted] = lambda folder: Wanted(),
) -> Group:
    async def run(folder: Path, options: Options) -> AsyncIterator[Row]:
        if wanted := [fault for fault in faults if options.only in fault.name]:
            with prepared(folder):
                async for row in run_faults(wanted, folder, options, place(folder)):
                    yield row

    return run


RUNNERS: Mapping[str, Group] = {
    "processes": _group(process_faults()),
    "network": _group(network_faults()),
    "models": _group(model_faults()),
    "disks": _group(disk_faults(), prepared=small_disks),
    "clocks": _group(clock_faults(), place=lambda folder: Wanted(replicas=fake_clock(folder))),
    "replicas": _group(replica_faults(), place=lambda folder: Wanted(replicas=ReplicaPlan())),
    "certificates": _group(certificate_faults(), place=lambda folder: Wanted(tls=True)),
}
