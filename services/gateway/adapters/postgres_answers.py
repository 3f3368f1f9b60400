"""First answers to repeated writes in PostgreSQL, schema `gateway`."""

from __future__ import annotations

from psycopg_pool import AsyncConnectionPool

from services.gateway.limits.ports import AnswerStore, Kept, Write
from shared.postgres.queries import load_queries

_SQL = load_queries("services.gateway.adapters")


class PostgresAnswers(AnswerStore):
    """The claim is one statement: of two gateways that get the same write at once, one does it."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def claim(self, write: Write, claim: str, seconds: float, keep_seconds: float) -> Kept | None:
        values = {
            **_key(write),
            "sha256": write.sha256,
            "claim": claim,
            "seconds": seconds,
            "keep_seconds": keep_seconds,
        }
        async with self._pool.connection() as connection:
            while True:
                if await (await connection.execute(_SQL.claim_answer, values)).fetchone():
                    return None
                row = await (await connection.execute(_SQL.kept_answer, values)).fetchone()
                if row:  # otherwise it was released in between
                    return Kept(bytes(row[0]), None if row[1] is None else bytes(row[1]))

    async def keep(self, write: Write, claim: str, answer: bytes) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.keep_answer, {**_key(write), "claim": claim, "answer": answer})

    async def release(self, write: Write, claim: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.release_answer, {**_key(write), "claim": claim})

    async def forget(self, keep_seconds: float) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.forget_answers, {"keep_seconds": keep_seconds})


def _key(write: Write) -> dict[str, str]:
    return {"tenant": write.tenant, "actor": write.actor, "method": write.method, "key": write.key}
