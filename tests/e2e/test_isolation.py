"""Two tenants with the same ids: nothing of one is in answers to the other, nor mixed in stores, index, caches, logs, metrics."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from importlib import import_module

import grpc
import psycopg
import pytest
from psycopg import sql
from pymilvus import MilvusClient

from services.cli.__main__ import run as mercato
from services.supervisor.settings import SupervisorSettings
from tests.e2e.conftest import MODELS, ROOT, Running
from tests.e2e.shop import Shop, until
from tests.e2e.two_tenants import CASES, SAYS_ITS_WORD, Tenant, text_of
from tests.suites.background_suite import BackgroundSuite

WORDS = {"quagga": 7, "wombat": 5}
"""A word for each tenant, and its number of products."""
EVERYTHING = ("read", "write", "operate")


def rpcs() -> set[str]:
    """Every rpc of every gateway service, from the descriptors."""
    found = set()
    for path in (ROOT / "protos" / "mercato" / "gateway" / "v1").glob("*.proto"):
        file = import_module(f"mercato.gateway.v1.{path.stem}_pb2").DESCRIPTOR
        for service in file.services_by_name.values():
            found |= {f"{service.name}/{method.name}" for method in service.methods}
    return found


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A suite of its own: its keys would lock other tests out."""
    data = tmp_path_factory.mktemp("keyed")
    os.environ.setdefault("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'shared' / 'protogen'}")
    settings = SupervisorSettings(
        data=data, gateway_address="127.0.0.1:0", http_address="127.0.0.1:0", model_repository=MODELS, ready_seconds=240
    )
    with BackgroundSuite(settings) as suite:
        suite.call(suite.suite.wait_ready(), 260)
        yield Running(suite, suite.suite.addresses["gateway"], data)


@pytest.fixture(scope="module")
def secrets(keyed: Running) -> dict[str, str]:
    """A key for each tenant, made by the operator of the machine."""
    found = {}
    for word in WORDS:
        command = ["key", "create", "all", "--direct", "--data", str(keyed.data), "--tenant", f"{word}-shop", "--json"]
        found[word] = json.loads(output_of([*command, *(part for one in EVERYTHING for part in ("--scope", one))]))[
            "secret"
        ]
    give_up = time.monotonic() + 20
    while any(mercato(["status", "--json", "--address", keyed.address, "--api-key", one]) for one in found.values()):
        assert time.monotonic() < give_up, "the gateway never learnt of the keys"
        time.sleep(0.1)
    return found


def output_of(arguments: list[str]) -> str:
    """What `mercato` prints."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert mercato(arguments) == 0
    return out.getvalue()


def test_the_command_manages_keys_and_shows_acts(keyed: Running, secrets: dict[str, str]) -> None:
    word = next(iter(WORDS))
    common = ["--address", keyed.address, "--api-key", secrets[word], "--json"]
    made = json.loads(output_of(["key", "create", "web", "--scope", "search", "--days", "1", *common]))
    key_id = made["key"]["key_id"]
    rotated = json.loads(output_of(["key", "rotate", key_id, "--overlap-hours", "1", *common]))
    assert rotated["secret"] != made["secret"]
    output_of(["key", "revoke", key_id, *common])
    listed = json.loads(output_of(["key", "list", "--all", *common]))
    assert [("revoke_time" in key) for key in listed["keys"] if key["key_id"] == key_id] == [True]
    acts = json.loads(output_of(["audit", "--days", "1", *common]))["events"]
    assert [act["action"].partition("/")[2] for act in acts if act["target"] == key_id] == [
        "RevokeApiKey",
        "RotateApiKey",
        "CreateApiKey",
    ]
    shown = output_of(["audit", "--address", keyed.address, "--api-key", secrets[word]])
    assert key_id in shown
    assert "PromoteRelease" not in output_of(["audit", "--action", "OperationsService/RotateApiKey", *common])


@asynccontextmanager
async def tenants(running: Running, secrets: dict[str, str]) -> AsyncIterator[list[Tenant]]:
    async with grpc.aio.insecure_channel(running.address) as channel:
        made = []
        for word, count in WORDS.items():
            shop = Shop(channel, f"{word}-shop")
            shop.metadata = (("x-api-key", secrets[word]), ("x-request-id", "the-same"))
            made.append(Tenant(word, shop, channel, count))
        yield made


def test_every_rpc_of_the_gateway_has_a_case() -> None:
    assert set(CASES) == rpcs()


async def test_no_tenant_meets_anything_of_another(keyed: Running, secrets: dict[str, str]) -> None:
    async with tenants(keyed, secrets) as both:
        await until(lambda: let_in(both))
        for name, case in CASES.items():
            for me, other in (both, both[::-1]):
                told = text_of(await case(me, other))
                foreign = {other.word, f"{other.word}-shop", *other.own_ids}
                assert not [word for word in foreign if word in told.lower()], f"{name} tells {me.word}: {told[:2000]}"
                if name in SAYS_ITS_WORD:
                    assert me.word in told.lower(), f"{name} tells {me.word} nothing of its own: {told[:2000]}"
        await forged_attribution_is_refused(both)
        await caches_are_apart(keyed, both)
    stores_are_apart(keyed)
    index_is_apart(keyed)
    logs_and_metrics_say_nothing(keyed)


async def let_in(both: list[Tenant]) -> bool:
    for tenant in both:
        await tenant.shop.status()
    return True


async def forged_attribution_is_refused(both: list[Tenant]) -> None:
    """A token of one tenant's list comes back with an event of the other."""
    me, other = both
    written = await me.shop.write([me.search_event("forged", other.attribution_token)])
    assert written.accepted_count == 0
    assert written.rejected[0].violations[0].field == "attribution_token"


async def caches_are_apart(running: Running, both: list[Tenant]) -> None:
    """While catalogue or profile are away, answers come from what the gateway remembers."""
    for unit in ("catalog", "profile"):
        for me in both:
            await me.shop.recommend("user-2")
        with stopped(running, unit):
            for me, other in (both, both[::-1]):
                answer = await me.shop.recommend("user-2", page_size=20)
                assert answer.missing_stages, f"{unit} is away"
                told = text_of([answer]).lower()
                assert other.word not in told
                products = {result.product.product_id for result in answer.results}
                assert products <= {f"p-{number}" for number in range(me.count)}

        async def back() -> bool:
            return not (await both[0].shop.recommend("user-2")).missing_stages

        await until(back)


@contextmanager
def stopped(running: Running, unit: str) -> Iterator[None]:
    pid = running.suite.suite.unit(unit).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stores_are_apart(running: Running) -> None:
    """Every row of every table: what holds a tenant's word belongs to that tenant."""
    tables = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""
    seen: set[str] = set()
    with psycopg.connect(running.suite.suite.environment["MERCATO_POSTGRES_DSN"]) as connection:
        for schema, table in connection.execute(tables).fetchall():
            query = sql.SQL("SELECT row_to_json(t)::text FROM {} t").format(sql.Identifier(schema, table))
            for (text,) in connection.execute(query):
                words = {word for word in WORDS if word in text.lower()}
                if not words:
                    continue
                assert len(words) == 1, f"{schema}.{table} mixes tenants: {text[:500]}"
                assert json.loads(text).get("tenant_id") == f"{words.pop()}-shop", f"{schema}.{table}: {text[:500]}"
                seen.add(f"{schema}.{table}")
    assert {"catalog.products", "support.documents", "gateway.api_keys", "gateway.audit_events"} <= seen


def index_is_apart(running: Running) -> None:
    """No collection holds rows of both, and its name says whose it is."""
    client = MilvusClient(running.suite.suite.environment["MERCATO_MILVUS_URI"])
    seen: set[str] = set()
    for name in client.list_collections():
        rows = client.query(name, filter="", output_fields=["*"], limit=1000)
        words = {word for word in WORDS if word in json.dumps(rows, default=str).lower()}
        assert len(words) <= 1, f"{name} mixes tenants"
        assert all(word in name for word in words), f"{name} does not say that it is of {words}"
        seen |= words
    client.close()
    assert seen == set(WORDS)


def logs_and_metrics_say_nothing(running: Running) -> None:
    """Tenant ids stand in log lines as tenants only; words nowhere; metrics know no tenants."""
    files = [path for path in (running.data / "logs").iterdir() if path.is_file()]
    assert len(files) > 8
    for path in files:
        for line in path.read_text(errors="replace").splitlines():
            for word in WORDS:
                if word in line.lower():
                    assert only_as_tenant(line, f"{word}-shop"), f"{path.name}: {line[:500]}"
    environment = running.suite.suite.environment
    ports = {key: port for key, port in environment.items() if key.endswith("_METRICS_PORT")}
    assert len(ports) >= 8
    for key, port in ports.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text = response.read().decode()
        assert not [word for word in WORDS if word in text.lower()], key


def only_as_tenant(line: str, tenant: str) -> bool:
    """Whether a line of JSON names the tenant in its field and nothing else of it."""
    try:
        fields = json.loads(line)
    except ValueError:
        return False
    if fields.pop("tenant", "") != tenant:
        return False
    rest = json.dumps(fields).lower().replace(tenant.replace("-", "_2d"), "")  # the tenant as index names write it
    return tenant.partition("-")[0] not in rest
