"""What a benchmark leaves: figures as a file, and on the screen for people or programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

Report = Mapping[str, Any]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()}


def give(report: Report, output: Path, out: Console, show: Callable[[Console, Any], None] | None) -> None:
    """Writes the figures to `output`, then shows them; without `show` as JSON on standard output."""
    text = json.dumps(report, indent=1)
    output.write_text(text + "\n")
    if show is None:
        typer.echo(text)
    else:
        show(out, report)
        out.print(f"written to {output}")
