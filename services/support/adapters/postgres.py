"""Documents, passages and the change feed in PostgreSQL, schema `support`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.support.domain import Document, FoundPassage, StoredPassage, cut_passages
from services.support.errors import DocumentNotFound
from services.support.ports import Change, Hit, Written
from shared.postgres.queries import load_queries
from shared.telemetry.outbox import Backlog

_SQL = load_queries("services.support.adapters")


class PostgresDocuments:
    """The repository and the change feed on one pool."""

    def __init__(self, pool: AsyncConnectionPool, passage_words: int) -> None:
        self._pool = pool
        self._passage_words = passage_words

    async def put(self, tenant: str, documents: Sequence[Document]) -> list[Written]:
        ids = sorted(document.document_id for document in documents)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.read_revisions, {"tenant": tenant, "ids": ids})
            stored = {row[0]: tuple(row[1:]) for row in await cursor.fetchall()}
            return [await self._put_one(connection, tenant, document, stored) for document in documents]

    async def _put_one(
        self, connection: AsyncConnection[Any], tenant: str, document: Document, stored: dict[str, tuple[Any, ...]]
    ) -> Written:
        revision = document.revision(self._passage_words)
        before = stored.get(document.document_id)
        if before == (revision, document.uri, document.language_code):
            return Written(unchanged=True)
        passages = cut_passages(document.text, self._passage_words)
        key = {"tenant": tenant, "id": document.document_id}
        await connection.execute(
            _SQL.put_document,
            {
                **key,
                "title": document.title,
                "body": document.text,
                "uri": document.uri,
                "language": document.language_code,
                "revision": revision,
                "passages": len(passages),
            },
        )
        await connection.execute(_SQL.delete_passages, key)
        async with connection.cursor() as cursor:
            await cursor.executemany(
                _SQL.insert_passage,
                [
                    {**key, "number": part.number, "headings": list(part.headings), "passage": part.text}
                    for part in passages
                ],
            )
        await connection.execute(_SQL.note_change, key)
        return Written(created=before is None, updated=before is not None)

    async def get(self, tenant: str, document_id: str) -> Document:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.get_document, {"tenant": tenant, "id": document_id})
            row = await cursor.fetchone()
        if row is None:
            raise DocumentNotFound(document_id)
        return _document(row)

    async def list_after(self, tenant: str, after: str, limit: int) -> list[Document]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.list_documents, {"tenant": tenant, "after": after, "limit": limit})
            return [_document(row) for row in await cursor.fetchall()]

    async def delete(self, tenant: str, document_id: str) -> bool:
        key = {"tenant": tenant, "id": document_id}
        async with self._pool.connection() as connection:
            deleted = (await connection.execute(_SQL.delete_document, key)).rowcount > 0
            if deleted:
                await connection.execute(_SQL.note_change, key)
        return deleted

    async def passages(self, tenant: str, hits: Sequence[Hit]) -> list[FoundPassage]:
        arguments = {
            "tenant": tenant,
            "ids": [hit.document_id for hit in hits],
            "numbers": [hit.number for hit in hits],
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.read_passages, arguments)
            stored = {(row[0], row[1]): _passage(row) for row in await cursor.fetchall()}
        found = ((hit, stored.get((hit.document_id, hit.number))) for hit in hits)
        return [
            FoundPassage(passage, hit.cosine)
            for hit, passage in found
            if passage is not None and passage.revision == hit.revision
        ]

    async def document_passages(self, tenant: str, document_id: str) -> list[StoredPassage]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.document_passages, {"tenant": tenant, "id": document_id})
            return [_passage(row) for row in await cursor.fetchall()]

    async def count(self, tenant: str) -> tuple[int, int]:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.count_documents, {"tenant": tenant})).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    async def tenants(self) -> list[str]:
        async with self._pool.connection() as connection:
            return [row[0] for row in await (await connection.execute(_SQL.list_tenants)).fetchall()]

    async def settled_passages(self, tenant: str) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.count_settled_passages, {"tenant": tenant})).fetchone()
        return int(row[0]) if row else 0

    async def claim(self, limit: int, lease_seconds: float) -> list[Change]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.claim_changes, {"limit": limit, "lease": lease_seconds})
            return [Change(*row) for row in await cursor.fetchall()]

    async def finish(self, change: Change) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.finish_change, _key(change))

    async def put_back(self, change: Change, error: str, wait_seconds: float) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.put_back_change, {**_key(change), "error": error[:500], "wait": wait_seconds})

    async def backlog(self) -> Backlog:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.backlog)).fetchone()
        return Backlog(*row) if row else Backlog(0, 0.0)

    async def note_all(self, tenant: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.note_all, {"tenant": tenant})


def _key(change: Change) -> dict[str, Any]:
    return {"tenant": change.tenant, "id": change.document_id, "number": change.number, "lease": change.lease_until}


def _document(row: tuple[Any, ...]) -> Document:
    document_id, title, body, uri, language, _revision, update_time, passage_count = row
    return Document(document_id, title, body, uri, language, update_time, passage_count)


def _passage(row: tuple[Any, ...]) -> StoredPassage:
    document_id, number, title, uri, headings, text, revision = row
    return StoredPassage(document_id, number, title, uri, tuple(headings), text, revision)
