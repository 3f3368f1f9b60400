"""Disks that fill up: the data folder of each backing system and of the services on a small file system of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from services.cli.errors import CliError
from services.cli.faults.measure import Fault, Injection
from services.cli.faults.place import SERVING, Place
from services.cli.faults.traffic import Traffic

SIZES: Mapping[str, str] = {"postgres": "1g", "milvus": "200m", "triton": "100m", SERVING: "200m"}
FULL_SECONDS = 15.0
FILLER = "filler"
LEAST_BYTES = 4096


def disk_faults() -> list[Fault]:
    """One for each data folder."""
    how = f"tmpfs filled to its last byte for {FULL_SECONDS:g} s"
    return [Fault(f"disk of {name} full", how, _full(name), FULL_SECONDS) for name in SIZES]


@contextmanager
def small_disks(folder: Path) -> Iterator[None]:
    """Mounts a file system at the data folder of each. Raises CliError where this process may not mount."""
    with ExitStack() as stack:
        for name, size in SIZES.items():
            place = folder / name
            place.mkdir(parents=True, exist_ok=True)
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "mercato-faults", str(place)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise CliError(f"faults of disks need the right to mount a tmpfs: {done.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", "--lazy", str(place)], check=False)
        yield


def _full(name: str) -> Injection:
    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        filler = place.folder / name / FILLER
        _fill(filler)
        try:
            yield
        finally:
            filler.unlink()

    return inject


def _fill(path: Path) -> None:
    """Takes what is left of the file system."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        size, step = 0, 1 << 30
        while step >= LEAST_BYTES:
            try:
                os.posix_fallocate(descriptor, size, step)
                size += step
            except OSError:
                step //= 2
    finally:
        os.close(descriptor)
