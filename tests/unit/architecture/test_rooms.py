"""What import-linter cannot say: only wiring and commands name adapters, and files stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = [
    path for path in (ROOT / "services").iterdir() if (path / "servicer.py").exists() or (path / "servicers").exists()
]
# Commands of a service, run by people beside the serving process.
COMMANDS = {"__main__.py", "wiring.py", "calibrate.py", "keys.py", "release_quarantine.py", "measure_sealing.py"}
HARD_LIMIT = 500


def imports(path: Path) -> set[str]:
    """Modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_only_wiring_names_adapters(service: Path) -> None:
    inside = [path for path in service.rglob("*.py") if "adapters" not in path.relative_to(service).parts]
    guilty = [
        str(path.relative_to(service))
        for path in inside
        if path.name not in COMMANDS and "modelrepo" not in path.parts
        for module in imports(path)
        if module.startswith(f"services.{service.name}.adapters")
    ]
    assert guilty == []


@pytest.mark.parametrize("room", ["services", "shared", "protos"])
def test_no_file_is_too_long(room: str) -> None:
    files = [path for path in (ROOT / room).rglob("*.py") if "protogen" not in path.parts]
    assert [f"{path.relative_to(ROOT)}" for path in files if len(path.read_text().splitlines()) > HARD_LIMIT] == []
