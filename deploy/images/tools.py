"""Gets what locks are made with into `build/tools`; nothing is installed in the system or the project's environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "build" / "tools"
UV = "uv==0.13.9"


def uv() -> Path:
    """The program uv; fetched when it is not there."""
    environment = TOOLS / "uv"
    done = environment / f".{UV}"
    if not done.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        subprocess.run([str(environment / "bin" / "pip"), "install", "--quiet", UV], check=True)
        done.touch()
    return environment / "bin" / "uv"
