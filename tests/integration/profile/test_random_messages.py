"""Every rpc of the profile process is sent random messages built from its descriptor; none is a defect."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.profile.settings import ProfileSettings
from services.profile.wiring import build
from shared.server.bootstrap import serve_in_process
from tests.e2e.random_calls import Caller, fuzz
from tests.e2e.random_messages import services

DESCRIBED = (
    *services("mercato.profile.v1", ["profile_service"]),
    *services("mercato.privacy.v1", ["personal_data_service", "erasure_register_service", "personal_keys_service"]),
)
METHODS = [method for service in DESCRIBED for method in service.methods if method.name != "RotateKeys"]
SEED, EXAMPLES = 20261124, 25


@pytest.fixture(scope="module")
def caller(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """The process in a loop and thread of its own, because hypothesis calls from a synchronous world."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE random_messages")
    settings = ProfileSettings(
        postgres_dsn=make_conninfo(postgres_dsn, dbname="random_messages"),
        catalog_address="127.0.0.1:1",
        data=Path(tmp_path_factory.mktemp("profile")),
    )
    loop, addresses, end = asyncio.new_event_loop(), [], asyncio.Event()
    started = threading.Event()

    async def serve() -> None:
        async with build(settings) as parts, serve_in_process(parts) as address:
            addresses.append(address)
            started.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(60)
    made = Caller(addresses[0])
    yield made
    made.close()
    loop.call_soon_threadsafe(end.set)
    thread.join(20)


@pytest.mark.parametrize("method", METHODS, ids=[method.full_name for method in METHODS])
def test_no_request_finds_a_defect(caller: Caller, method: object) -> None:
    fuzz(caller, method, SEED, EXAMPLES)
