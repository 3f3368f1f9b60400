"""What collections of products and of passages have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pymilvus import MilvusClient

from services.retrieval.adapters.milvus.connection import Call, MilvusConnection, NotLoaded
from services.retrieval.adapters.milvus.expressions import one_of, quoted
from services.retrieval.adapters.milvus.schema import (
    INNER_PRODUCT,
    VECTOR,
    WORD_VECTOR,
    IndexSettings,
    search_params,
)
from services.retrieval.domain.product import Vector
from services.retrieval.errors import NoKeywords
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

ROWS_A_WRITE = 500
ROWS_A_PAGE = 1_000
FLUSH_ROWS = 1_000
"""Milvus Lite compares what is not flushed row by row in Python: 0.2 ms a row at each search."""
FLUSH_SECONDS = 1.0
_STRONG = "Strong"
T = TypeVar("T")
_log = logger("milvus")


class Collections:
    """Reads and writes of single collections. One write at a time: Milvus Lite loses rows of concurrent writers.

    Milvus Lite also loses rows that it has acknowledged when a flush fails, as on a full disk. What was written since
    the last flush that went well is kept here and written again after a failure; never more than a flush's worth.
    """

    def __init__(self, connection: MilvusConnection, settings: IndexSettings) -> None:
        self.connection = connection
        self.settings = settings
        self._writing = asyncio.Lock()
        self._unflushed: dict[str, int] = {}
        self._since_flush: dict[str, list[Call[Any]]] = {}
        self._doubtful: set[str] = set()
        self._words: dict[str, bool] = {}

    async def names(self) -> list[str]:
        """Names of all collections."""
        return list(await self.connection.call("list", lambda client, s: client.list_collections(timeout=s)))

    async def make(self, name: str, make: Callable[[MilvusClient], None]) -> None:
        """Makes a collection; one of that name without an alias is what a making that was cut off left, and goes."""
        if name in await self.names() and not await self.aliases(name):
            await self.drop(name)
        await self.connection.admin(make)

    async def aliases(self, name: str) -> list[str]:
        """Aliases of a collection."""
        found = await self.connection.call("aliases", lambda client, s: client.list_aliases(name, timeout=s))
        return list(found["aliases"]) if isinstance(found, dict) else list(found)

    async def point(self, alias: str, name: str) -> None:
        """Moves an alias to a collection, in one step; makes it when there is none."""
        for other in await self.names():
            if alias in await self.aliases(other):
                await self.connection.call(
                    "alias", lambda client, s: client.alter_alias(name, alias, timeout=s), write=True
                )
                return
        await self.connection.call("alias", lambda client, s: client.create_alias(name, alias, timeout=s), write=True)

    async def unpoint(self, alias: str, name: str) -> None:
        """Takes an alias away from a collection; no error when it has none of that name."""
        if alias in await self.aliases(name):
            await self._drop_alias(alias)

    async def drop(self, name: str) -> None:
        """Drops a collection and its aliases."""
        if name not in await self.names():
            return
        for alias in await self.aliases(name):
            await self._drop_alias(alias)
        async with self._writing:
            await self.connection.call("drop", lambda client, s: client.drop_collection(name, timeout=s), write=True)
        for kept in (self._unflushed, self._since_flush, self._words):
            kept.pop(name, None)
        self._doubtful.discard(name)

    async def open(self, name: str) -> None:
        """Gets a collection ready after a start of the server: loaded, and what was recovered flushed."""
        await self.connection.load(name)
        self._unflushed[name] = FLUSH_ROWS
        await self.has_words(name)
        await self.flush_all()

    async def has_words(self, name: str) -> bool:
        """Whether the collection can be searched by words."""
        if name not in self._words:
            described = await self.connection.call(
                "describe", lambda client, s: client.describe_collection(name, timeout=s)
            )
            self._words[name] = any(field["name"] == WORD_VECTOR for field in described["fields"])
        return self._words[name]

    async def count(self, name: str) -> int:
        """Counts rows."""
        rows = await self._query(name, "", ["count(*)"])
        return int(rows[0]["count(*)"])

    async def upsert(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Adds or replaces rows; of a failed call, some may be written."""
        for start in range(0, len(rows), ROWS_A_WRITE):
            part = list(rows[start : start + ROWS_A_WRITE])
            await self._write("upsert", name, _upsert(name, part))
            await self._wrote(name, len(part))

    async def delete(self, name: str, expression: str) -> None:
        """Deletes the rows that an expression selects."""
        await self._write("delete", name, lambda client, s: client.delete(name, filter=expression, timeout=s))
        await self._wrote(name, 1)

    async def read(self, name: str, ids: Sequence[str], fields: list[str]) -> list[dict[str, Any]]:
        """Rows of those ids that exist."""
        rows: list[dict[str, Any]] = []
        for start in range(0, len(ids), ROWS_A_WRITE):
            rows += await self._query(name, one_of("id", ids[start : start + ROWS_A_WRITE]), fields)
        return rows

    async def scan(self, name: str, fields: list[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """All rows in pages, by id. (The client's own iterator breaks on ids with quotes.)"""
        after = ""
        while True:
            page = await self._query(
                name, f"id > {quoted(after)}", fields, limit=ROWS_A_PAGE, iterator="True", reduce_stop_for_best="True"
            )
            if page:
                yield page
            if len(page) < ROWS_A_PAGE:
                return
            after = page[-1]["id"]

    async def search_vector(
        self, name: str, vector: Vector, expression: str, limit: int, fields: Iterable[str] = ()
    ) -> list[tuple[str, float, dict[str, Any]]]:
        """Nearest rows: id, cosine, fields."""
        params = search_params(self.settings, limit, lite=self.connection.is_lite)
        options = {"anns_field": VECTOR, "search_params": params, "limit": limit, "output_fields": list(fields)}
        return await self._search(name, vector, expression, options)

    async def search_inner(
        self, name: str, vector: Vector, expression: str, limit: int
    ) -> list[tuple[str, float, dict[str, Any]]]:
        """Rows with the highest inner products: id, inner product, no fields."""
        params = search_params(self.settings, limit, lite=self.connection.is_lite, metric=INNER_PRODUCT)
        return await self._search(
            name, vector, expression, {"anns_field": VECTOR, "search_params": params, "limit": limit}
        )

    async def search_words(
        self, name: str, words: str, expression: str, limit: int, fields: Iterable[str] = ()
    ) -> list[tuple[str, float, dict[str, Any]]]:
        """Rows with the words: id, BM25, fields. Raises NoKeywords."""
        if not await self.has_words(name):
            raise NoKeywords()
        params = {"metric_type": "BM25", "params": {}}
        options = {"anns_field": WORD_VECTOR, "search_params": params, "limit": limit, "output_fields": list(fields)}
        found = await self._search(name, words, expression, options)
        return [(one, abs(score), row) for one, score, row in found]  # Lite's scores are negative

    async def keep_flushed(self) -> None:
        """Runs until cancelled: flushes Milvus Lite when writes pause."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush_all()
            except MercatoError as error:
                _log.info("not flushed", error=str(error))

    async def flush_all(self) -> None:
        """Flushes what was written since. Full servers flush by themselves."""
        for name in [name for name, rows in self._unflushed.items() if rows]:
            await self._flush(name)

    async def _flush(self, name: str) -> None:
        if self.connection.is_lite:
            async with self._writing:
                await self._again(name)
                with self._in_doubt(name):
                    await self.connection.call("flush", lambda client, s: client.flush(name, timeout=s), write=True)
                self._since_flush.pop(name, None)
        self._unflushed[name] = 0

    async def _write(self, operation: str, name: str, call: Call[Any]) -> None:
        async with self._writing:
            with self._in_doubt(name):
                await self._call(operation, name, call, write=True)
            if self.connection.is_lite:
                self._since_flush.setdefault(name, []).append(call)

    async def _again(self, name: str) -> None:
        """Writes what a failure may have lost, in the order in which it was written."""
        if name in self._doubtful:
            for call in self._since_flush.get(name, ()):
                await self._call("rewrite", name, call, write=True)
            self._doubtful.discard(name)

    @contextmanager
    def _in_doubt(self, name: str) -> Iterator[None]:
        """A write that fails may take others with it."""
        try:
            yield
        except BaseException:
            self._doubtful.add(name)
            raise

    async def _wrote(self, name: str, rows: int) -> None:
        self._unflushed[name] = self._unflushed.get(name, 0) + rows
        if self._unflushed[name] >= FLUSH_ROWS:
            await self._flush(name)

    async def _call(self, operation: str, name: str, call: Call[T], *, write: bool = False) -> T:
        """Calls for one collection; a restarted Milvus Lite has none loaded, and all that it recovered unflushed."""
        try:
            return await self.connection.call(operation, call, write=write)
        except NotLoaded:
            await self.connection.load(name)
            self._unflushed[name] = FLUSH_ROWS
            return await self.connection.call(operation, call, write=write)

    async def _drop_alias(self, alias: str) -> None:
        await self.connection.call("alias", lambda client, s: client.drop_alias(alias, timeout=s), write=True)

    async def _query(self, name: str, expression: str, fields: list[str], **options: Any) -> list[dict[str, Any]]:
        rows = await self._call(
            "query",
            name,
            lambda client, s: client.query(
                name, filter=expression, output_fields=fields, timeout=s, consistency_level=_STRONG, **options
            ),
        )
        return list(rows)

    async def _search(
        self, name: str, query: Vector | str, expression: str, options: dict[str, Any]
    ) -> list[tuple[str, float, dict[str, Any]]]:
        async with self.connection.search_slot():
            found = await self._call(
                "search",
                name,
                lambda client, s: client.search(
                    name, [query], filter=expression, timeout=s, consistency_level=_STRONG, **options
                ),
            )
        return [(hit["id"], float(hit["distance"]), dict(hit.get("entity") or {})) for hit in found[0]]


def _upsert(name: str, rows: list[dict[str, Any]]) -> Call[Any]:
    return lambda client, seconds: client.upsert(name, rows, timeout=seconds)
