"""What an attacker with the keys of one shop tries against a live suite: none of it succeeds, and everything goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import resource
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import product_service_pb2, search_service_pb2, user_event_service_pb2

from tests.e2e.abuse import CANARY, KeyedShop, Target, full_key, guarded_suite, prepare
from tests.e2e.conftest import ROOT, Running
from tests.e2e.raw_http2 import Answer, RawConnection, framed
from tests.e2e.shop import purchase
from tests.suites.errors import reason_of

ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "abuse_requests.json").read_text())
SEARCH = "/mercato.gateway.v1.SearchService/Search"
UNPRECISE = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
HUNG_UP = 0
"""The server ended the connection while the request was being sent."""
IMPORT_MEMORY = 1_500_000_000
"""Address space of an import, bytes: far below what its file would unpack to."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with guarded_suite(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.fixture(scope="module")
def target(guarded: Running) -> Target:
    """Both shops, filled."""
    made = Target(guarded.address)
    for tenant in ("beta", "alpha"):
        made.add_key(tenant, full_key(guarded, tenant))

    async def fill() -> None:
        async with grpc.aio.insecure_channel(guarded.address) as channel:
            await prepare(channel, made)

    asyncio.run(fill())
    return made


@pytest.fixture(scope="module")
def pids(guarded: Running, target: Target) -> dict[str, int | None]:
    """Processes before the first attempt."""
    return {row.unit: row.pid for row in guarded.suite.suite.units()}


@asynccontextmanager
async def as_alpha(target: Target, **options: Any) -> AsyncIterator[KeyedShop]:
    async with grpc.aio.insecure_channel(target.address, **options) as channel:
        yield KeyedShop(channel, "alpha", target.keys["alpha"])


async def serves(target: Target) -> None:
    """The suite still answers a customer in time."""
    async with as_alpha(target) as shop:
        assert (await asyncio.wait_for(shop.search("tea"), 15)).results


def test_the_table_is_large() -> None:
    assert len(ROWS) >= 100
    assert len({row["name"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
async def test_an_attempt_is_refused_precisely_or_does_no_harm(
    target: Target, pids: dict[str, int | None], row: dict[str, Any]
) -> None:
    options = [("grpc.max_metadata_size", 1 << 20), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(target.address, options=options) as channel:
        try:
            answers = await target.call(channel, row)
            code, said = "OK", "".join(map(str, answers))
        except grpc.aio.AioRpcError as error:
            code, said = error.code().name, error.details() or ""
            if "reason" in row:
                assert reason_of(error) == row["reason"]
            answers = []
    wanted = row.get("code", "OK")
    assert code in ([wanted] if isinstance(wanted, str) else wanted), said
    assert CANARY not in said
    assert "Traceback" not in said
    if "items" in row:
        names = [error_reason_pb2.ErrorReason.Name(one.reason) for answer in answers for one in answer.rejected]
        assert [name.removeprefix("ERROR_REASON_") for name in names] == row["items"]
    if row.get("empty") and answers:
        assert not answers[0].results


async def test_nothing_of_the_other_shop_was_changed(target: Target, pids: dict[str, int | None]) -> None:
    async with grpc.aio.insecure_channel(target.address) as channel:
        beta = KeyedShop(channel, "beta", target.keys["beta"])
        request = product_service_pb2.GetProductRequest(product_id="secret")
        assert CANARY in (await beta.call(beta.products.GetProduct, request)).product.title
        export = user_event_service_pb2.ExportUserDataRequest(user_id="bea")
        parts = [part async for part in beta.events.ExportUserData(export, metadata=beta.metadata)]
        assert sum(len(part.events) for part in parts) == 5


@pytest.mark.parametrize(
    "path",
    [
        "/mercato.profile.v1.ProfileService/EraseUserData",
        "/mercato.privacy.v1.PersonalDataService/ErasePerson",
        "/mercato.privacy.v1.ErasureRegisterService/ClaimErasures",
        "/mercato.trainer.v1.TrainerService/PromoteRelease",
        "/mercato.catalog.v1.CatalogService/BatchGetProducts",
        "/mercato.gateway.v1.searchservice/Search",
        "/mercato.gateway.v1.SearchService/search",
        "//mercato.gateway.v1.SearchService/Search",
        "/mercato.gateway.v1.SearchService/Search/",
        "/mercato.gateway.v1.SearchService/Search?x=1",
        "/mercato.gateway.v1.OperationsService/../SearchService/Search",
        "/",
        "*",
    ],
)
async def test_only_the_gateways_own_methods_exist(target: Target, pids: dict[str, int | None], path: str) -> None:
    async with RawConnection(target.address) as raw:
        stream = await raw.send(path, [("x-api-key", target.keys["alpha"])], framed(b""))
        answer = await raw.answer(stream)
    assert (
        answer.grpc_status == grpc.StatusCode.UNIMPLEMENTED.value[0]
        or answer.reset
        or answer.headers[":status"] != "200"
    )


def nested_groups(depth: int) -> bytes:
    """An unknown field of groups within groups."""
    return b"\xfb\x3f" * depth + b"\xfc\x3f" * depth


MESSAGES = {
    "nested a hundred thousand deep": (nested_groups(100_000), 0, []),
    "a varint without an end": (b"\x08" + b"\xff" * 64, 0, []),
    "a length beyond the message": (b"\x0a\xff\xff\xff\xff\x07abc", 0, []),
    "overlong UTF-8": (b"\x0a\x02\xc0\xaf", 0, []),
    "half a surrogate pair": (b"\x0a\x03\xed\xa0\x80", 0, []),
    "UTF-8 beyond Unicode": (b"\x0a\x04\xf7\xbf\xbf\xbf", 0, []),
    "a bomb in gzip": (gzip.compress(bytes(300_000_000), 9), 1, [("grpc-encoding", "gzip")]),
    "broken gzip": (b"\x1f\x8b\x08\x00garbage", 1, [("grpc-encoding", "gzip")]),
    "an encoding nobody has": (b"x", 1, [("grpc-encoding", "zip")]),
    "compressed without an encoding": (b"x", 1, []),
    "a flag that does not exist": (b"x", 255, []),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_hostile_message_is_refused(target: Target, pids: dict[str, int | None], name: str) -> None:
    message, compressed, headers = MESSAGES[name]
    before = _rss(pids["gateway"])
    async with RawConnection(target.address) as raw:
        keyed = [("x-api-key", target.keys["alpha"]), *headers]
        answer = await raw.answer(await raw.send(SEARCH, keyed, framed(message, compressed=compressed)))
    assert answer.grpc_status not in (0, None) or answer.reset or answer.closed
    assert _rss(pids["gateway"]) - before < 150_000_000, "memory stays bounded"
    await serves(target)


async def test_a_length_that_is_announced_and_never_sent_costs_nothing(
    target: Target, pids: dict[str, int | None]
) -> None:
    before = _rss(pids["gateway"])
    async with RawConnection(target.address) as raw:
        for _ in range(50):
            await raw.send(SEARCH, [("x-api-key", target.keys["alpha"])], framed(b"x", length=(1 << 32) - 1), end=False)
        await serves(target)
    assert _rss(pids["gateway"]) - before < 100_000_000


async def test_slow_callers_hold_up_nobody(target: Target, pids: dict[str, int | None]) -> None:
    host, _, port = target.address.rpartition(":")
    silent = [await asyncio.open_connection(host, int(port)) for _ in range(300)]
    for number, (_, writer) in enumerate(silent):
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[: number % 24])
    streams = [RawConnection(target.address) for _ in range(20)]
    try:
        for raw in streams:
            await raw.__aenter__()
            for _ in range(20):
                await raw.send(SEARCH, [("x-api-key", target.keys["alpha"])], b"\0", end=False)
        await serves(target)
    finally:
        for raw in streams:
            await raw.__aexit__()
        for _, writer in silent:
            writer.close()


async def test_streams_that_are_opened_and_reset_hold_up_nobody(target: Target, pids: dict[str, int | None]) -> None:
    async with RawConnection(target.address) as raw:
        for _ in range(2_000):
            await raw.open_and_reset(SEARCH, [("x-api-key", target.keys["alpha"])])
        await serves(target)


@pytest.mark.parametrize("value", ["a\r\nx-injected: 1", "a\nforged", "\x1b[31mred", "\x00", "ünï", "a\x7fb"])
@pytest.mark.parametrize("name", ["x-request-id", "mercato-tenant", "x-api-key", "user-agent"])
async def test_control_characters_in_headers_go_nowhere(
    target: Target, pids: dict[str, int | None], name: str, value: str
) -> None:
    try:
        async with RawConnection(target.address) as raw:
            headers = [] if name == "x-api-key" else [("x-api-key", target.keys["alpha"])]
            answer = await raw.answer(await raw.send(SEARCH, [*headers, (name, value)], framed(b"")))
    except ConnectionError:
        answer = Answer(closed=True)
    assert "x-injected" not in answer.headers
    assert value not in answer.headers.values()
    await serves(target)


async def test_a_header_that_stands_twice_is_read_in_the_safe_way(target: Target, pids: dict[str, int | None]) -> None:
    for first, second in (("alpha", "beta"), ("beta", "alpha")):
        async with RawConnection(target.address) as raw:
            headers = [("x-api-key", target.keys["alpha"]), ("mercato-tenant", first), ("mercato-tenant", second)]
            query = search_service_pb2.SearchRequest(query=CANARY).SerializeToString()
            answer = await raw.answer(await raw.send(SEARCH, headers, framed(query)))
        assert CANARY.encode() not in answer.body


async def test_an_event_sent_again_counts_once_and_not_for_another_tenant(
    target: Target, pids: dict[str, int | None]
) -> None:
    event = purchase("replayed", "ann", ["own"], 1)
    async with as_alpha(target) as shop:
        counts = [(await shop.write([event, event])).accepted_count for _ in range(5)]
    assert counts == [1, 0, 0, 0, 0]
    async with grpc.aio.insecure_channel(target.address) as channel:
        beta = KeyedShop(channel, "beta", target.keys["beta"])
        assert (await beta.write([event])).accepted_count == 1, "ids are each tenant's own"


def http(running: Running, method: str, path: str, key: str = "", body: bytes | None = None, **headers: str) -> Any:
    """Status, headers and body of a JSON call through Envoy."""
    sent = {"x-api-key": key, "content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    url = f"http://{running.suite.suite.addresses['envoy']}{path}"
    request = urllib.request.Request(url, data=body, method=method, headers={k: v for k, v in sent.items() if v})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()
    except urllib.error.URLError as error:
        assert isinstance(error.reason, ConnectionError)
        return HUNG_UP, {}, b""


DEEP = b'{"query":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
HTTP = {
    "no key": ("GET", "/v1/products", False, None, {}, {401}),
    "another tenant": ("GET", "/v1/products", True, None, {"mercato_tenant": "beta"}, {403}),
    "another tenant in gateway's words": (
        "GET",
        "/v1/products",
        True,
        None,
        {"grpc_metadata_mercato_tenant": "beta"},
        {200},
    ),
    "another tenant as a parameter": ("GET", "/v1/products?mercato-tenant=beta", True, None, {}, {200, 400}),
    "a method overridden": ("GET", "/v1/products/own", True, None, {"x_http_method_override": "DELETE"}, {200}),
    "line break in the path": ("GET", "/v1/products/own%0d%0ax-injected:%201", True, None, {}, {400, 404}),
    "zero byte in the path": ("GET", "/v1/products/own%00", True, None, {}, {400, 404}),
    "path that climbs": ("GET", "/v1/products/..%2f..%2f..%2fetc%2fpasswd", True, None, {}, {400, 404}),
    "path that climbs in dots": ("GET", "/v1/../../config_dump", True, None, {}, {400, 401, 403, 404}),
    "Envoy's own pages": ("GET", "/config_dump", True, None, {}, {404}),
    "Envoy told to quit": ("POST", "/quitquitquit", True, b"", {}, {404}),
    "an inner service": (
        "POST",
        "/mercato.profile.v1.ProfileService/EraseUserData",
        True,
        b"{}",
        {},
        {404, 415, 503, 200},
    ),
    "JSON fifty thousand deep": ("POST", "/v1/products:search", True, DEEP, {}, {400}),
    "JSON that is none": ("POST", "/v1/products:search", True, b'{"query": NaN', {}, {400}),
    "JSON with a field twice": ("POST", "/v1/products:search", True, b'{"query":"tea","query":"x"}', {}, {200, 400}),
    "JSON with a field of nobody": (
        "POST",
        "/v1/products:search",
        True,
        b'{"query":"tea","tenant":"beta"}',
        {},
        {200, 400},
    ),
    "JSON of 40 MB": (
        "POST",
        "/v1/products:search",
        True,
        b'{"query":"' + b"x" * 40_000_000 + b'"}',
        {},
        {HUNG_UP, 413},
    ),
    "a compressed body": (
        "POST",
        "/v1/products:search",
        True,
        gzip.compress(b'{"query":"tea"}'),
        {"content_encoding": "gzip"},
        {400, 415},
    ),
    "hop headers": ("GET", "/v1/products", True, None, {"connection": "x-api-key", "te": "gzip"}, {200, 400, 401}),
    "a forged peer": (
        "GET",
        "/v1/status",
        False,
        None,
        {"x_forwarded_for": "127.0.0.1", "x_envoy_internal": "true"},
        {401},
    ),
}


@pytest.mark.parametrize("name", HTTP)
def test_an_attempt_through_the_transcoder_is_refused(
    guarded: Running, target: Target, pids: dict[str, int | None], name: str
) -> None:
    method, path, keyed, body, headers, wanted = HTTP[name]
    status, answered, said = http(guarded, method, path, target.keys["alpha"] if keyed else "", body, **headers)
    assert status in wanted, said[:300]
    assert CANARY.encode() not in said
    assert "x-injected" not in {header.lower() for header in answered}
    assert b"root:" not in said


def test_a_foreign_page_gets_no_leave_to_call(guarded: Running, target: Target, pids: dict[str, int | None]) -> None:
    asked = {"origin": "https://evil.example", "access_control_request_method": "POST"}
    _, answered, _ = http(guarded, "OPTIONS", "/v1/products:search", **asked)
    assert "access-control-allow-origin" not in {name.lower() for name in answered}


SMUGGLED = {
    "two lengths": b"POST /v1/products:search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "length and chunks": b"POST /v1/products:search HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\n\r\n",
    "a folded header": b"GET /v1/products HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n x-api-key: 2\r\n\r\n",
    "a bare line feed": b"GET /v1/products HTTP/1.1\nHost: x\nX-Api-Key: y\n\n",
    "a space before the colon": b"GET /v1/products HTTP/1.1\r\nHost: x\r\nX-Api-Key : y\r\n\r\n",
    "no host": b"GET /v1/products HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_a_request_hidden_in_another_is_not_answered(
    guarded: Running, target: Target, pids: dict[str, int | None], name: str
) -> None:
    host, _, port = guarded.suite.suite.addresses["envoy"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(SMUGGLED[name])
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(65_536), 20)
    writer.close()
    assert said.count(b"HTTP/1.1 200") == 0, said
    assert len(re.findall(rb"^HTTP/1.1 ", said, re.MULTILINE)) <= 1


@pytest.mark.parametrize("name", ["products.jsonl.gz", "products.csv.gz"])
def test_an_import_file_that_unpacks_to_gigabytes_is_refused(
    guarded: Running, target: Target, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"product_id": "' if "jsonl" in name else b"product_id,title\n")
        for _ in range(2_000):
            file.write(b"x" * 1_000_000)
    kind = name.partition(".")[0]
    command = [sys.executable, "-m", "services.cli", "--address", target.address, "--api-key", target.keys["alpha"]]
    done = subprocess.run(
        [*command, "import", kind, str(path), "--rejects", str(tmp_path / "rejects.jsonl")],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (IMPORT_MEMORY, IMPORT_MEMORY)),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert "MemoryError" not in done.stderr
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "longer than 4 MiB" in (tmp_path / "rejects.jsonl").read_text()[:500]


def test_everything_still_runs_and_no_log_line_was_forged(
    guarded: Running, target: Target, pids: dict[str, int | None]
) -> None:
    assert {row.unit: row.pid for row in guarded.suite.suite.units()} == pids
    secrets = [*target.keys.values(), CANARY, "ann@", "bea"]
    for path in (guarded.data / "logs").glob("*.log*"):
        text = path.read_text(errors="replace")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text.replace("\x1b[0m", "")), path.name
        assert not [secret[:6] for secret in secrets[:-2] if secret in text], path.name
        if path.name.partition(".")[0] in ("postgres", "triton", "milvus", "envoy"):
            continue
        for line in text.splitlines():
            if line.startswith("{"):
                said = json.loads(line)
                assert said.get("event") != "forged", line
                assert said.get("code") not in ("INTERNAL", "UNKNOWN"), line
            else:
                assert not line.startswith("Traceback"), f"{path.name}: {text[text.index(line) :][:3000]}"


def _rss(pid: int | None) -> int:
    """Resident bytes of a process."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) * 1024
