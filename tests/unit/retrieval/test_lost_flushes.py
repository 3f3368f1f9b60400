"""What Milvus Lite acknowledged and lost in a flush that failed is written again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from services.retrieval.adapters.milvus.collection import Collections
from services.retrieval.adapters.milvus.connection import MilvusConnection
from services.retrieval.adapters.milvus.schema import IndexSettings
from shared.errors.base import Unavailable


class Lite:
    """A server whose memory is lost when it cannot be written to the disk."""

    def __init__(self) -> None:
        self.disk: dict[str, int] = {}
        self.memory: dict[str, int | None] = {}
        self.full = False

    def upsert(self, name: str, rows: list[dict[str, Any]], timeout: float) -> None:
        if self.full:
            raise Unavailable("milvus")
        self.memory.update({row["id"]: row["version"] for row in rows})

    def delete(self, name: str, filter: str, timeout: float) -> None:
        self.memory[filter] = None

    def flush(self, name: str, timeout: float) -> None:
        lost, self.memory = self.memory, {}
        if self.full:
            raise Unavailable("milvus")
        for one, version in lost.items():
            self.disk.pop(one, None)
            if version is not None:
                self.disk[one] = version


class Connection:
    is_lite = True

    def __init__(self, server: Lite) -> None:
        self.server = server

    async def call(self, operation: str, call: Callable[[Any, float], Any], *, write: bool = False) -> Any:
        return call(self.server, 1.0)


@pytest.fixture
def server() -> Lite:
    return Lite()


@pytest.fixture
def collections(server: Lite) -> Collections:
    return Collections(cast(MilvusConnection, Connection(server)), IndexSettings())


def row(one: str, version: int) -> dict[str, Any]:
    return {"id": one, "version": version}


async def test_writes_before_a_failed_flush_come_back_in_their_order(server: Lite, collections: Collections) -> None:
    await collections.upsert("products", [row("a", 1), row("b", 1)])
    await collections.flush_all()
    await collections.upsert("products", [row("a", 2), row("c", 1)])
    await collections.delete("products", "b")
    await collections.upsert("products", [row("a", 3)])
    server.full = True
    with pytest.raises(Unavailable):
        await collections.flush_all()
    with pytest.raises(Unavailable):
        await collections.upsert("products", [row("d", 1)])
    with pytest.raises(Unavailable):
        await collections.flush_all()
    server.full = False
    await collections.flush_all()
    assert server.disk == {"a": 3, "c": 1}, "what was not acknowledged is not written either"


async def test_nothing_is_written_twice_while_all_goes_well(server: Lite, collections: Collections) -> None:
    await collections.upsert("products", [row("a", 1)])
    await collections.flush_all()
    server.disk.clear()
    await collections.upsert("products", [row("b", 1)])
    await collections.flush_all()
    assert server.disk == {"b": 1}
