"""The proxy in front of a gateway that records what reaches it and fails as it is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from mercato.gateway.v1 import (
    search_service_pb2,
    support_service_pb2,
    support_service_pb2_grpc,
)

from services.supervisor.adapters.envoy.config import CALLERS_HEADERS
from services.supervisor.adapters.tcp_ports import PortBook
from shared.errors.base import ResourceExhausted
from tests.integration.supervisor.front import SEARCH, Front, Gateway, gateway_on
from tests.suites.background_suite import BackgroundSuite, embedded
from tests.suites.http import grpc_web, raw, request

SHOP = "https://shop.example"
LONGEST_SECONDS = 2.0


@pytest.fixture
async def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    monkeypatch.setenv("MERCATO_HTTP_CORS_ORIGINS", json.dumps([SHOP]))
    monkeypatch.setenv("MERCATO_HTTP_REQUEST_SECONDS", str(LONGEST_SECONDS))
    monkeypatch.setenv("MERCATO_HTTP_MAX_BODY_BYTES", "65536")
    monkeypatch.setenv("MERCATO_HTTP_UPLOAD_SECONDS", "1.5")
    monkeypatch.setenv("MERCATO_HTTP_HEADER_SECONDS", "1")
    gateway = Gateway()
    port = PortBook(tmp_path / "ports.json").choose("gateway")
    data = tmp_path / "data"
    async with gateway_on(port, gateway):
        settings = embedded(data, gateway_address=f"127.0.0.1:{port}")
        suite = await asyncio.to_thread(BackgroundSuite, settings, {"envoy"})
        try:
            status = f"127.0.0.1:{suite.suite.environment['MERCATO_HTTP_METRICS_PORT']}"
            yield Front(suite.suite.addresses["envoy"], status, gateway, data / "logs" / "envoy.log")
        finally:
            await asyncio.to_thread(suite.close)


async def test_only_a_callers_own_headers_reach_the_gateway(front: Front) -> None:
    sent = {
        "x-api-key": "mine",
        "mercato-tenant": "shop-1",
        "x-request-id": "mine-1",
        "x-mercato-tenant": "other",
        "mercato-principal": "root",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-client-cert": "By=spiffe://root",
        "x-envoy-original-path": "/admin",
        "x-envoy-upstream-alt-stat-name": "x",
        "grpc-status": "0",
        "grpc-trace-bin": "!!!",
        "anything-bin": "!!!",
        "cookie": "session=1",
    }
    answer = await front.ask("POST", SEARCH, {"query": "milk"}, sent)
    assert answer.status == 200, answer.body
    reached = front.gateway.metadata
    assert (reached["x-api-key"], reached["mercato-tenant"], reached["x-request-id"]) == ("mine", "shop-1", "mine-1")
    allowed = {*CALLERS_HEADERS, "x-mercato-json", "grpc-accept-encoding"}
    assert set(reached) <= allowed


async def test_a_header_cannot_be_smuggled_in_a_value(front: Front) -> None:
    start = b"GET /v1/products:search?query=x HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-api-key: "
    for value in (b"a\x00mercato-tenant: other", b"a\rmercato-tenant: other"):
        await asyncio.to_thread(raw, front.address, start + value + b"\r\n\r\n")
        assert "mercato-tenant" not in front.gateway.metadata
    answer = await front.ask("GET", f"{SEARCH}?query=%0d%0amercato-tenant:%20other%0d%0a")
    assert answer.json["nextPageToken"] == "\r\nmercato-tenant: other\r\n"
    assert "mercato-tenant" not in front.gateway.metadata
    both = b"POST /v1/products:search HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert b" 400 " in (await asyncio.to_thread(raw, front.address, both)).splitlines()[0]


async def test_a_request_id_that_could_forge_a_line_is_replaced(front: Front) -> None:
    assert (await front.search(x_request_id="good-1")).headers["x-request-id"] == "good-1"
    await front.search(x_request_id='bad"} {"x')
    assert '"' not in front.gateway.metadata.get("x-request-id", "")


async def test_a_known_delay_is_told_in_the_body_and_as_retry_after(front: Front) -> None:
    front.gateway.error = ResourceExhausted("slow down", retry_after_seconds=2.5)
    answer = await front.search()
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert answer.json["code"] == 8
    assert answer.reason == "RATE_LIMITED"
    assert answer.detail("RetryInfo")["retryDelay"] == "2.500s"


async def test_every_violation_is_named(front: Front) -> None:
    answer = await front.ask("POST", SEARCH, {"pageSize": -1, "pageToken": "x" * 3000})
    assert answer.status == 400
    fields = {violation.get("field") for violation in answer.detail("BadRequest")["fieldViolations"]}
    assert fields >= {"page_size", "page_token"}


async def test_what_is_no_request_is_refused_with_the_same_form_of_error(front: Front) -> None:
    deep = b'{"filter":' * 5000 + b"1" + b"}" * 5000
    cases: list[tuple[str, str, Any, dict[str, str], int, str]] = [
        ("GET", "/v1/nothing", None, {}, 404, "INVALID_REQUEST"),
        ("PUT", SEARCH, {"query": "x"}, {}, 404, "INVALID_REQUEST"),
        ("POST", "/mercato.gateway.v1.SearchService/Search", {"query": "x"}, {}, 404, "INVALID_REQUEST"),
        ("POST", SEARCH, b'{"query":', {}, 400, "INVALID_REQUEST"),
        ("POST", SEARCH, b"[1, 2]", {}, 400, "INVALID_REQUEST"),
        ("POST", SEARCH, b'{"query": {"a": 1}}', {}, 400, "INVALID_REQUEST"),
        ("POST", SEARCH, b"\xff\xfe", {}, 400, "INVALID_REQUEST"),
        ("POST", SEARCH, deep, {}, 400, "INVALID_REQUEST"),
        ("GET", f"{SEARCH}?nope=1", None, {}, 400, "INVALID_REQUEST"),
        ("GET", f"{SEARCH}?page_size=many", None, {}, 400, "INVALID_REQUEST"),
        ("POST", SEARCH, b"query=x", {"content-type": "application/x-www-form-urlencoded"}, 415, "INVALID_REQUEST"),
        ("POST", SEARCH, b'{"query":"x"}', {"content-type": "text/plain"}, 415, "INVALID_REQUEST"),
        ("POST", SEARCH, b"<x/>", {"content-type": "application/xml"}, 415, "INVALID_REQUEST"),
        ("POST", SEARCH, {"query": "x" * 70_000}, {}, 413, "MESSAGE_TOO_LARGE"),
        ("GET", SEARCH, None, {"x-api-key": "x" * 40_000}, 431, "INVALID_REQUEST"),
        ("GET", SEARCH, None, {f"x-{number}": "1" for number in range(80)}, 431, "INVALID_REQUEST"),
    ]
    for verb, path, body, headers, status, reason in cases:
        answer = await front.ask(verb, path, body, headers)
        assert (answer.status, answer.reason) == (status, reason), (verb, path, answer)
        assert answer.headers["content-type"] == "application/json"
        assert "grpc-message" not in answer.headers
    assert (await front.search()).status == 200, "the process stays up"


async def test_a_body_in_another_encoding_is_not_unpacked(front: Front) -> None:
    answer = await front.ask("POST", SEARCH, b"\x1f\x8b" + b"\0" * 100, {"content-encoding": "gzip"})
    assert answer.status == 400


async def test_text_of_all_kinds_comes_back_as_it_was(front: Front) -> None:
    for text in ("Grüße ☃ 𝄞 日本語", 'quote " back \\ slash / <b>', "line\nbreak\ttab", "\u200f\u202e"):
        assert (await front.search(text)).json["nextPageToken"] == text


async def test_a_callers_deadline_is_the_gateways(front: Front) -> None:
    await front.search(grpc_timeout="1500m")
    assert front.gateway.remaining is not None
    assert 0 < front.gateway.remaining <= 1.5


async def test_an_answer_that_takes_too_long_is_given_up(front: Front) -> None:
    front.gateway.pause = 60
    answer = await front.search(grpc_timeout="300m")
    assert (answer.status, answer.json["code"], answer.reason) == (504, 4, "DEADLINE_EXCEEDED")
    answer = await front.search(grpc_timeout="1H")
    assert (answer.status, answer.reason) == (504, "DEADLINE_EXCEEDED"), "at most the proxy's own limit"


async def test_what_grpc_ends_without_the_gateway_has_the_details_of_every_error(front: Front) -> None:
    front.gateway.bare = grpc.StatusCode.DEADLINE_EXCEEDED
    answer = await front.search()
    assert (answer.status, answer.json["code"], answer.reason) == (504, 4, "DEADLINE_EXCEEDED")
    front.gateway.bare = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await front.search()).reason == "MESSAGE_TOO_LARGE"


async def test_a_stream_is_one_value_a_line(front: Front) -> None:
    answer = await front.ask("POST", "/v1/documents:ask", {"question": "why ☃\nreally"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line["text"]["text"] for line in answer.lines] == [f"why ☃\nreally {number}" for number in range(3)]


async def test_a_stream_may_take_longer_than_its_request(front: Front) -> None:
    front.gateway.pause = LONGEST_SECONDS / 2
    answer = await front.ask("POST", "/v1/documents:ask", {"question": "why"})
    assert len(answer.lines) == 3


async def test_who_sends_too_slowly_is_cut_off_before_the_gateway_hears_of_it(front: Front) -> None:
    head = b"POST /v1/products:search HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/json\r\n"
    for start, drop in ((head, b"x-a: 1\r\n"), (head + b"content-length: 60000\r\n\r\n", b" ")):
        host, _, port = front.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(start)
        reading = asyncio.create_task(reader.read())
        async with asyncio.timeout(30):
            while not reading.done():
                writer.write(drop)
                await asyncio.sleep(0.1)
        with contextlib.suppress(ConnectionResetError):  # what was still being sent may cost the answer
            answer = await reading
            assert answer.splitlines()[0].split()[1] in (b"408", b"504"), answer
        writer.close()
    assert front.gateway.metadata == {}


async def test_a_stream_that_fails_at_once_is_an_error_and_later_says_so_in_its_trailers(front: Front) -> None:
    front.gateway.error = ResourceExhausted("slow down", retry_after_seconds=1)
    front.gateway.broken_after = 0
    answer = await front.ask("POST", "/v1/documents:ask", {"question": "x"})
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    front.gateway.broken_after = 2
    body = b'{"question":"x"}'
    head = f"POST /v1/documents:ask HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    received = (await asyncio.to_thread(raw, front.address, head.encode() + body)).decode()
    assert received.count('"text":"x ') == 2
    assert "grpc-status: 8" in received
    details = next(line for line in received.splitlines() if line.startswith("grpc-status-details-bin: "))
    packed = details.split(": ")[1]
    status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    assert status.details[0].Is(error_details_pb2.ErrorInfo.DESCRIPTOR)


async def test_an_import_is_an_array_of_batches(front: Front) -> None:
    batches = [{"products": [{"productId": "a", "title": "A"}]}, {"products": [{"productId": "b", "title": "B"}] * 2}]
    answer = await front.ask("POST", "/v1/products:import", batches)
    assert answer.status == 200
    assert [line["createdCount"] for line in answer.lines] == [1, 2]


async def test_grpc_web_and_grpc_pass_beside_json(front: Front) -> None:
    method = "/mercato.gateway.v1.SearchService/Search"
    sent = search_service_pb2.SearchRequest(query="milk")
    message, trailers = await asyncio.to_thread(grpc_web, front.address, method, sent.SerializeToString())
    assert trailers["grpc-status"] == "0"
    assert search_service_pb2.SearchResponse.FromString(message).next_page_token == "milk"
    front.gateway.error = ResourceExhausted("slow down", retry_after_seconds=1)
    _, trailers = await asyncio.to_thread(grpc_web, front.address, method, sent.SerializeToString())
    assert (trailers["grpc-status"], trailers["retry-after"]) == ("8", "1")
    async with grpc.aio.insecure_channel(front.address) as channel:
        parts = support_service_pb2_grpc.SupportServiceStub(channel).Ask(support_service_pb2.AskRequest(question="x"))
        assert len([part async for part in parts]) == 3


async def test_pages_of_the_named_origins_may_call_and_others_may_not(front: Front) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-api-key"}
    allowed = await front.ask("OPTIONS", SEARCH, None, {"origin": SHOP, **asked})
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert "x-api-key" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in allowed.headers
    for origin in ("https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"):
        refused = await front.ask("OPTIONS", SEARCH, None, {"origin": origin, **asked})
        assert "access-control-allow-origin" not in refused.headers
        read = await front.ask("POST", SEARCH, {"query": "x"}, {"origin": origin})
        assert "access-control-allow-origin" not in read.headers


async def test_nothing_personal_is_logged(front: Front) -> None:
    secrets = ("user-4711", "key-4711", "query-4711", "agent-4711")
    headers = {"x-api-key": secrets[1], "user-agent": secrets[3], "x-request-id": "seen-1"}
    await front.ask("POST", SEARCH, {"query": secrets[2]}, headers)
    await front.ask("GET", f"{SEARCH}?query={secrets[2]}&user_id={secrets[0]}", None, headers)
    await front.ask("GET", f"/v1/users/{secrets[0]}/nothing?q={secrets[2]}", None, headers)
    await front.ask("GET", f"/v1/users/{secrets[0]}/profile", None, {**headers, "x-request-id": "last"})
    async with asyncio.timeout(30):
        while '"last"' not in front.log.read_text():
            await asyncio.sleep(0.1)
    text = front.log.read_text()
    assert [secret for secret in secrets if secret in text] == []
    lines = [json.loads(line) for line in text.splitlines() if '"event":"request"' in line]
    seen = [line for line in lines if line["request_id"] == "seen-1"]
    assert [line["method"] for line in seen] == ["/mercato.gateway.v1.SearchService/Search"] * 2 + ["-"]
    assert "127.0.0.1" not in text.replace("127.0.0.1:", "")


async def test_health_and_metrics_are_there_and_the_administration_is_not(front: Front) -> None:
    assert (await front.ask("GET", "/healthz")).status == 200
    assert (await front.ask("GET", "/livez")).status == 200
    metrics = await asyncio.to_thread(request, front.status, "GET", "/metrics")
    assert b"envoy_cluster_upstream_rq_total" in metrics.body
    for path in ("/quitquitquit", "/config_dump", "/stats", "/metrics"):
        assert (await front.ask("POST", path)).status == 404
    for path in ("/quitquitquit", "/config_dump", "/stats"):
        assert (await asyncio.to_thread(request, front.status, "POST", path)).status == 404
