"""The code of the version before, out of the project's own history."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MIGRATIONS = "services/*/migrations/*.sql"
PREVIOUS = "f9e993f1c6a707e92f95c4631facb51b6ec98336"
"""The version before: a commit until there are releases, then the tag of the last one."""


def code_of_the_version_before(folder: Path) -> Path:
    """Unpacks it into ``folder``. Skips the test where the history is not at hand (an archive, a shallow clone)."""
    command = ["git", "archive", PREVIOUS, "services", "shared"]
    archive = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"needs the project's git history, with {PREVIOUS}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as opened:
        opened.extractall(folder, filter="data")
    return folder


def migrations(code: Path) -> set[str]:
    """Names of all files."""
    return {str(path.relative_to(code)) for path in code.glob(MIGRATIONS)}
