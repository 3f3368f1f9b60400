"""Options that every command takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from services.cli.errors import CliError

DEFAULT_ADDRESS = "127.0.0.1:50050"


@dataclass(frozen=True, kw_only=True)
class CliSettings:
    """Where the gateway is, who asks, and how answers are shown."""

    address: str = DEFAULT_ADDRESS
    api_key: str = ""
    tenant: str = ""
    ca: str = ""
    """File with the issuers of the gateway's certificate, or `system` for those of this machine; empty: plain text."""
    json: bool = False

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries."""
        pairs = (("x-api-key", self.api_key), ("mercato-tenant", self.tenant))
        return tuple((key, value) for key, value in pairs if value)


def settings_of(context: typer.Context) -> CliSettings:
    """The options of this run."""
    found: Any = context.find_root().obj
    return found if isinstance(found, CliSettings) else CliSettings()


def check_output(path: Path | None) -> None:
    """Raises CliError before the work begins when its result could not be written."""
    if path is not None and not path.absolute().parent.is_dir():
        raise CliError(f"--output: there is no folder {path.absolute().parent}")


def data_folder(given: Path | None) -> Path:
    """``--data``, else MERCATO_DATA, else ``data`` here."""
    return given or Path(os.environ.get("MERCATO_DATA") or "data")
