"""Pins what the images install, with hashes: `python -m deploy.images.lock`; `--check` fails where a lock is stale.

A lock is stale when it was made from other requirements than those of pyproject.toml; that needs no network.
Making one keeps the versions that the lock has, `--upgrade` takes the newest. `trainer-cpu` takes PyTorch's own builds
for the CPU, which are on no default index: name a folder or page with them in UV_FIND_LINKS.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.images.tools import uv

ROOT = Path(__file__).parents[2]
LOCKS = Path(__file__).parent / "locks"
PLATFORM = "x86_64-manylinux_2_28"
PYTHON = "3.11"
MARK = "# made by `python -m deploy.images.lock` from requirements "


@dataclass(frozen=True)
class Lock:
    """One file of pins: what it is made from beside the project's dependencies."""

    extras: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    with_project: bool = True


TARGETS = {
    "serving": Lock(),
    "trainer": Lock(("models", "learning")),
    "trainer-cpu": Lock(("models", "learning"), ("torch==2.13.0+cpu",)),
    "setup": Lock(others=("setuptools>=77",), with_project=False),
    "sbom": Lock(others=("cyclonedx-bom>=7.5,<8",), with_project=False),
}


def requirements(lock: Lock) -> list[str]:
    """What a lock is made from, as in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = list(project["dependencies"]) if lock.with_project else []
    for extra in lock.extras:
        found += project["optional-dependencies"][extra]
    return sorted({*found, *lock.others})


def digest(lock: Lock) -> str:
    """Stands in the first line of a lock."""
    return hashlib.sha256("\n".join(requirements(lock)).encode()).hexdigest()


def stale() -> list[str]:
    """Names of locks that were made from something else."""
    return [name for name, lock in TARGETS.items() if _first_line(name) != MARK + digest(lock)]


def make(name: str, *, upgrade: bool) -> None:
    """Resolves one lock. Raises CalledProcessError."""
    lock, file = TARGETS[name], LOCKS / f"{name}.txt"
    with tempfile.TemporaryDirectory() as folder:
        wanted, made = Path(folder) / "wanted.in", Path(folder) / "made.txt"
        wanted.write_text("\n".join(requirements(lock)) + "\n")
        if file.is_file() and not upgrade:
            made.write_text(file.read_text())
        options = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet", "--python-version", PYTHON]
        subprocess.run(
            [str(uv()), "pip", "compile", *options, "--python-platform", PLATFORM, "-o", str(made), str(wanted)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        file.write_text(f"{MARK}{digest(lock)}\n{made.read_text()}")


def _first_line(name: str) -> str:
    file = LOCKS / f"{name}.txt"
    return file.read_text().partition("\n")[0] if file.is_file() else ""


def main(arguments: Sequence[str]) -> int:
    """Makes or checks."""
    parser = argparse.ArgumentParser(prog="python -m deploy.images.lock", description=__doc__)
    parser.add_argument("--check", action="store_true", help="make nothing; exit status 1 where a lock is out of date")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], default=[], help="default: all")
    given = parser.parse_args(arguments)
    if given.check:
        for name in stale():
            sys.stderr.write(f"deploy/images/locks/{name}.txt is out of date: python -m deploy.images.lock {name}\n")
        return 1 if stale() else 0
    for name in given.targets or TARGETS:
        make(name, upgrade=given.upgrade)
        sys.stdout.write(f"wrote deploy/images/locks/{name}.txt\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
