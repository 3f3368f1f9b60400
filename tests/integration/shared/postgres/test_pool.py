"""The pool against a real server, with connections that die."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.errors.base import Unavailable
from shared.errors.mapping import from_exception
from shared.postgres.pool import open_pool, pool_check


async def test_connections_commit_and_carry_our_settings(postgres_database: str) -> None:
    async with open_pool(postgres_database, application_name="catalog", statement_timeout_seconds=7) as pool:
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE t (a int)")
            await connection.execute("INSERT INTO t VALUES (1)")
        async with pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT a, current_setting('application_name'), current_setting('statement_timeout'),"
                " current_setting('timezone') FROM t"
            )
            assert await cursor.fetchone() == (1, "catalog", "7s", "UTC")


async def test_an_error_rolls_back(postgres_database: str) -> None:
    async with open_pool(postgres_database) as pool:
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE t (a int)")
        with pytest.raises(RuntimeError):
            async with pool.connection() as connection:
                await connection.execute("INSERT INTO t VALUES (1)")
                raise RuntimeError
        async with pool.connection() as connection:
            assert await (await connection.execute("SELECT count(*) FROM t")).fetchone() == (0,)


async def test_no_caller_gets_a_connection_that_the_server_closed(postgres_database: str) -> None:
    async with open_pool(postgres_database, min_size=3, max_size=3, application_name="victim") as pool:
        await pool.wait(10)
        await kill_all("victim", postgres_database)
        for _ in range(6):
            async with pool.connection() as connection:
                assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def kill_all(application: str, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        query = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        pids = [pid for pid, _ in await (await connection.execute(query, [application])).fetchall()]
        assert len(pids) == 3
        async with asyncio.timeout(10):
            # A backend leaves pg_stat_activity before it closes its socket; with the process the socket is closed.
            while any(Path(f"/proc/{pid}").exists() for pid in pids):
                await asyncio.sleep(0.01)


async def test_a_server_that_never_answers_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dsn = f"host=127.0.0.1 port={taken.getsockname()[1]} user=x dbname=x"
        with pytest.raises(Unavailable) as caught:
            async with open_pool(dsn, start_timeout_seconds=0.2):
                pass
    assert caught.value.metadata == {"dependency": "postgres"}


async def test_the_check_passes_while_the_server_answers_even_with_a_busy_pool(postgres_database: str) -> None:
    async with open_pool(postgres_database, max_size=1) as pool:
        check = pool_check(pool)
        await check()
        async with pool.connection():
            await check()


async def test_the_check_fails_without_a_server(postgres_database: str) -> None:
    async with open_pool(postgres_database) as pool:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            dead = AsyncConnectionPool(f"host=127.0.0.1 port={taken.getsockname()[1]} user=x dbname=x", open=False)
            await dead.open()
            with pytest.raises(psycopg.OperationalError):
                await pool_check(dead)()
            await dead.close()
        await pool_check(pool)()


async def test_a_cancelled_statement_is_unavailable(postgres_database: str) -> None:
    error: Any = None
    async with open_pool(postgres_database, statement_timeout_seconds=0.05) as pool:
        try:
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_sleep(10)")
        except psycopg.OperationalError as raised:
            error = from_exception(raised)
    assert isinstance(error, Unavailable)


async def test_once_nobody_gets_a_connection_the_next_callers_hear_of_it_sooner(postgres_database: str) -> None:
    async with open_pool(postgres_database, max_size=1) as pool:
        pool.timeout = 2.0
        async with pool.connection():
            with pytest.raises(PoolTimeout):
                await pool.getconn()
            async with asyncio.timeout(1.5):
                with pytest.raises(PoolTimeout):
                    await pool.getconn()
        async with pool.connection() as connection:
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
