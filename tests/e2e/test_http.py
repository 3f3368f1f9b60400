"""JSON over HTTP against the running suite: every operation of the OpenAPI document, called and held to its schema."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import yaml
from mercato.gateway.v1 import search_service_pb2, user_profile_pb2
from mercato.gateway.v1.profile_service_pb2 import GetUserProfileRequest, GetUserProfileResponse
from openapi_schema_validator import OAS31Validator

from tests.e2e.conftest import ROOT, Running
from tests.suites.http import Answer, grpc_web, request

DOCUMENT: dict[str, Any] = yaml.load((ROOT / "docs" / "openapi.yaml").read_text(), yaml.CSafeLoader)
CALLS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "http_calls.json").read_text())
LINES = "application/x-ndjson"


@dataclass(frozen=True)
class Operation:
    """One way to call one rpc."""

    verb: str
    path: str
    described: dict[str, Any]


OPERATIONS = {
    described["operationId"]: Operation(verb, path, described)
    for path, verbs in DOCUMENT["paths"].items()
    for verb, described in verbs.items()
}


def fits(value: Any, schema: dict[str, Any]) -> None:
    """Asserts that a value fits a schema of the document."""
    validator = OAS31Validator({**schema, "components": DOCUMENT["components"]})
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)] == []


def of_one_thing(query: dict[str, Any]) -> str:
    pairs = [(name, one) for name, value in query.items() for one in (value if isinstance(value, list) else [value])]
    return urlencode([(name, str(one).lower() if isinstance(one, bool) else one) for name, one in pairs])


class Caller:
    """Calls operations as one tenant."""

    def __init__(self, running: Running, tenant: str) -> None:
        self.address = running.suite.suite.addresses["envoy"]
        self.headers = {"mercato-tenant": tenant}

    def __call__(self, operation_id: str) -> Answer:
        operation, call = OPERATIONS[operation_id], CALLS[operation_id]
        values = {name: quote(value, safe="") for name, value in call.get("path", {}).items()}
        path = operation.path.format(**values)
        query = of_one_thing(call.get("query", {}))
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        body = json.loads(json.dumps(call["body"]).replace("$NOW", now)) if "body" in call else None
        return request(
            self.address, operation.verb.upper(), path + (f"?{query}" if query else ""), body, self.headers, 120
        )


@pytest.fixture(scope="module")
def caller(running: Running) -> Iterator[Caller]:
    """A tenant of its own; the table's order is the order of the calls."""
    yield Caller(running, f"http{time.time_ns()}")


def test_every_operation_of_the_document_is_called() -> None:
    assert set(CALLS) == set(OPERATIONS)


@pytest.mark.parametrize("operation_id", CALLS)
def test_an_answer_is_as_the_document_says(caller: Caller, operation_id: str) -> None:
    answer = caller(operation_id)
    expected = CALLS[operation_id].get("status", 200)
    assert answer.status in (expected if isinstance(expected, list) else [expected]), answer
    responses = OPERATIONS[operation_id].described["responses"]
    if answer.status != 200:
        fits(answer.json, DOCUMENT["components"]["responses"]["Error"]["content"]["application/json"]["schema"])
        assert answer.json["details"], "an error carries its reason"
        return
    content = responses["200"]["content"]
    assert [answer.headers["content-type"]] == list(content)
    schema = next(iter(content.values()))["schema"]
    for value in answer.lines if LINES in content else [answer.json]:
        fits(value, schema)
    assert answer.headers["x-request-id"]


def test_what_was_written_over_http_is_read_back_whole(caller: Caller) -> None:
    caller("ProductService_ImportProducts")
    answer = request(caller.address, "GET", "/v1/products/p-1", None, caller.headers)
    product = answer.json["product"]
    assert product["title"] == "Whole milk ☃"
    assert product["price"] == {"currencyCode": "EUR", "units": "9007199254740993", "nanos": 990000000}


def test_a_page_in_a_browser_calls_through_grpc_web(caller: Caller) -> None:
    sent = search_service_pb2.SearchRequest(query="milk")
    method = "/mercato.gateway.v1.SearchService/Search"
    message, trailers = grpc_web(caller.address, method, sent.SerializeToString(), caller.headers)
    assert trailers["grpc-status"] == "0"
    assert search_service_pb2.SearchResponse.FromString(message).attribution_token
    method = "/mercato.gateway.v1.ProfileService/GetUserProfile"
    asked = GetUserProfileRequest(user_id="u-1").SerializeToString()
    message, trailers = grpc_web(caller.address, method, asked, caller.headers)
    assert trailers["grpc-status"] == "0"
    assert isinstance(GetUserProfileResponse.FromString(message).profile, user_profile_pb2.UserProfile)


async def test_a_killed_gateway_is_said_so_and_is_back_by_itself(running: Running, caller: Caller) -> None:
    before = running.suite.suite.unit("gateway")
    assert before.pid is not None
    seen: set[int] = set()
    os.kill(before.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while 200 not in seen or 503 not in seen:
            answer = await asyncio.to_thread(request, caller.address, "GET", "/v1/products/p-1", None, caller.headers)
            seen.add(answer.status)
            if answer.status != 200:
                assert (answer.status, answer.reason) == (503, "DEPENDENCY_UNAVAILABLE"), answer
                if answer.detail("ErrorInfo")["metadata"]["dependency"] == "gateway":
                    assert int(answer.headers["retry-after"]) >= 1
            await asyncio.sleep(0.05)
    await asyncio.to_thread(running.suite.restarted, "gateway", before)
