"""Named SQL blocks from a ``queries.sql`` file.

A block starts with a line ``-- name: insert_product`` and ends before the next such line. Comments between
that line and the statement stay with the block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Self

_HEADER = re.compile(r"^--\s*name:\s*(\S+)\s*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Query(str):
    """A statement that knows its name, by which metrics and traces call it."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str, text: str) -> Self:
        """The statement `text`."""
        made = super().__new__(cls, text)
        made.name = name
        return made


class Queries(Mapping[str, str]):
    """The blocks of one file: ``queries.insert_product`` or ``queries["insert_product"]``."""

    def __init__(self, blocks: Mapping[str, str], source: str) -> None:
        self._blocks = dict(blocks)
        self._source = source

    def __getitem__(self, name: str) -> str:
        return self._blocks[name]

    def __getattr__(self, name: str) -> str:
        try:
            return self.__dict__["_blocks"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"no query {name!r} in {self.__dict__.get('_source')}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


def load_queries(package: str, filename: str = "queries.sql") -> Queries:
    """The named blocks of ``filename`` in ``package``. Raises ValueError for a doubled, bad or empty block."""
    text = resources.files(package).joinpath(filename).read_text(encoding="utf-8")
    return parse_queries(text, f"{package}/{filename}")


def parse_queries(text: str, source: str) -> Queries:
    """The named blocks of ``text``; ``source`` is named in errors."""
    parts = _HEADER.split(text)
    blocks: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if not _NAME.fullmatch(name) or name in blocks:
            raise ValueError(f"{source}: bad or doubled query name {name!r}")
        if not body.strip():
            raise ValueError(f"{source}: query {name!r} is empty")
        blocks[name] = Query(name, body.strip())
    return Queries(blocks, source)
