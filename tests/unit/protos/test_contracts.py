"""The contracts keep the house rules that buf cannot see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CONTRACTS = sorted((Path(__file__).parents[3] / "protos").rglob("*.proto"))
RPC = re.compile(r"((?:^\s*//[^\n]*\n)+)\s*rpc (\w+)\(", re.MULTILINE)
PAGE_SIZE = re.compile(r"((?:^\s*//[^\n]*\n)+)\s*int32 page_size = \d+([^;]*);", re.MULTILINE)


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_package_is_the_path(path: Path) -> None:
    package = re.search(r"^package ([\w.]+);", path.read_text(), re.MULTILINE)
    assert package is not None
    assert package.group(1) == ".".join(path.relative_to(path.parents[3]).parent.parts)
    assert package.group(1).endswith(".v1")


@pytest.mark.parametrize(
    "path", [path for path in CONTRACTS if path.name.endswith("_service.proto")], ids=lambda path: path.name
)
def test_every_rpc_lists_its_errors(path: Path) -> None:
    methods = RPC.findall(path.read_text())
    assert methods, "a service file has methods"
    assert [name for comment, name in methods if "Errors:" not in comment] == []


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_page_sizes_say_default_and_limit_and_refuse_negatives(path: Path) -> None:
    for comment, options in PAGE_SIZE.findall(path.read_text()):
        assert re.search(r"0: \d+\. Above [\d,]+: [\d,]+", comment), comment
        assert "gte = 0" in options


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_a_contract_stays_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 520, "split it into a service file and noun files"
