"""Two shops behind a gateway that asks for keys, and an attacker who has the keys of one of them."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import os
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from mercato.gateway.v1 import (
    api_key_pb2,
    operations_service_pb2,
    product_pb2,
    product_service_pb2,
    user_event_service_pb2,
)

from services.cli.__main__ import run as mercato
from services.supervisor.settings import SupervisorSettings
from tests.e2e.conftest import MODELS, ROOT, Running
from tests.e2e.shop import Shop, purchase
from tests.suites.background_suite import BackgroundSuite

CANARY = "CANARY-BETA"
"""Stands in everything of the other shop; no answer to the attacker may hold it."""
FILES = {
    "ProductService": "product_service",
    "UserEventService": "user_event_service",
    "RecommendationService": "recommendation_service",
    "SearchService": "search_service",
    "SupportService": "support_service",
    "ProfileService": "profile_service",
    "PrivacyService": "privacy_service",
    "ExperimentService": "experiment_service",
    "OperationsService": "operations_service",
}
_PLACEHOLDER = re.compile(r"\$\{([a-z_.]+)(?::(-\d+))?(?:!(\w+))?\}")


@dataclass
class Target:
    """What the attacker knows: values for the placeholders of the table, and keys by name."""

    address: str
    values: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def add_key(self, tenant: str, answer: dict[str, Any]) -> None:
        """Takes what `full_key` made."""
        self.values |= {f"{tenant}.key": answer["secret"], f"{tenant}.key_id": answer["key"]["key_id"]}
        self.keys[tenant] = answer["secret"]

    def filled(self, value: Any) -> Any:
        """A row's value with placeholders and repetitions expanded."""
        if isinstance(value, dict):
            if set(value) == {"repeat", "times"}:
                return self.filled(value["repeat"]) * value["times"]
            if set(value) == {"items", "times"}:
                return [self.filled(value["items"])] * value["times"]
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return _PLACEHOLDER.sub(self._value, value) if isinstance(value, str) else value

    def _value(self, match: re.Match[str]) -> str:
        value = self.values[match[1]]
        value = value[: int(match[2])] if match[2] else value
        return {None: str, "upper": str.upper, "sha256": _sha256, "flip": _flipped}[match[3]](value)

    async def call(self, channel: grpc.aio.Channel, row: dict[str, Any]) -> list[Any]:
        """Sends a row's request and returns all responses."""
        service, method = row["rpc"].split("/")
        module = importlib.import_module(f"mercato.gateway.v1.{FILES[service]}_pb2")
        stubs = importlib.import_module(f"mercato.gateway.v1.{FILES[service]}_pb2_grpc")
        described = module.DESCRIPTOR.services_by_name[service].methods_by_name[method]
        messages = importlib.import_module(
            described.input_type.file.name.removesuffix(".proto").replace("/", ".") + "_pb2"
        )
        request = json_format.ParseDict(self.filled(row["request"]), getattr(messages, described.input_type.name)())
        function = getattr(getattr(stubs, f"{service}Stub")(channel), method)
        metadata = {} if row.get("as") == "nobody" else {"x-api-key": self.keys[row.get("as", "alpha")]}
        metadata |= self.filled(row.get("metadata", {}))
        options = {"metadata": tuple(metadata.items()), "timeout": 30}
        if described.client_streaming:

            async def requests() -> AsyncIterator[Any]:
                yield request

            return [response async for response in function(requests(), **options)]
        if described.server_streaming:
            return [response async for response in function(request, **options)]
        return [await function(request, **options)]


@contextmanager
def guarded_suite(data: Path) -> Iterator[Running]:
    """A suite of its own, for keys that would lock other tests out."""
    os.environ.setdefault("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'shared' / 'protogen'}")
    settings = SupervisorSettings(
        data=data, gateway_address="127.0.0.1:0", http_address="127.0.0.1:0", model_repository=MODELS, ready_seconds=240
    )
    with BackgroundSuite(settings) as suite:
        suite.call(suite.suite.wait_ready(), 260)
        yield Running(suite, suite.suite.addresses["gateway"], data)


def full_key(running: Running, tenant: str) -> dict[str, Any]:
    """A key for everything, made by the operator of the machine."""
    command = ["key", "create", "all", "--direct", "--data", str(running.data), "--tenant", tenant, "--json"]
    said = io.StringIO()
    with redirect_stdout(said):
        assert mercato([*command, *(f"--scope={scope}" for scope in ("read", "write", "operate"))]) == 0
    answer: dict[str, Any] = json.loads(said.getvalue())
    return answer


class KeyedShop(Shop):
    """A shop that calls with an API key."""

    def __init__(self, channel: grpc.aio.Channel, tenant: str, key: str) -> None:
        super().__init__(channel, tenant)
        self.metadata = (("x-api-key", key),)


async def prepare(channel: grpc.aio.Channel, target: Target) -> None:
    """Fills both shops and makes the attacker's lesser keys. `target.keys` has a full key for each shop already."""
    target.values["now"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    bomb = b"\x01" + bytes(16) + zlib.compress(bytes(8_000_000), 9)
    target.values["bomb_token"] = base64.urlsafe_b64encode(bomb).decode()[:4000]
    for tenant in ("beta", "alpha"):
        await _fill(KeyedShop(channel, tenant, target.keys[tenant]), tenant, target)
    alpha = KeyedShop(channel, "alpha", target.keys["alpha"])
    for name, scopes in {"reader": ["read"], "keymaker": ["keys"], "revoked": ["read", "write", "operate"]}.items():
        request = api_key_pb2.CreateApiKeyRequest(name=name, scopes=scopes)
        answer = await alpha.call(alpha.operations.CreateApiKey, request)
        target.keys[name] = answer.secret
        if name == "revoked":
            revoke = api_key_pb2.RevokeApiKeyRequest(key_id=answer.key.key_id)
            await alpha.call(alpha.operations.RevokeApiKey, revoke)


async def _fill(shop: Shop, tenant: str, target: Target) -> None:
    beta = tenant == "beta"
    words = f"{CANARY} tea" if beta else "tea"
    own = "secret" if beta else "own"
    person = "bea" if beta else "ann"
    goods = [
        product_pb2.Product(
            product_id=own if not number else f"{tenant}-{number}", title=f"{words} {number}", brand=f"{words} maker"
        )
        for number in range(4)
    ]
    await shop.import_products(goods)
    await shop.import_document(
        "secret" if beta else "returns", words, f"The {words} password is {words}. Returns within 30 days."
    )
    events = [
        purchase(f"{tenant}-{n}-{d}", f"{person}-{n}" if n else person, [own, f"{tenant}-{1 + d % 3}"], d + 1)
        for n in range(3)
        for d in range(5)
    ]
    await shop.write(events)
    await shop.indexed()
    request = operations_service_pb2.TrainRequest(kind=operations_service_pb2.TRAINING_KIND_TABLES)
    steps = [step async for step in shop.operations.Train(request, metadata=shop.metadata)]
    found = await shop.search("tea", page_size=1)
    page = await shop.call(shop.products.ListProducts, product_service_pb2.ListProductsRequest(page_size=1))
    erased = await shop.call(
        shop.events.EraseUserData, user_event_service_pb2.EraseUserDataRequest(user_id=f"{person}-2")
    )
    target.values |= {
        f"{tenant}.release_id": steps[-1].release.release_id,
        f"{tenant}.search_token": found.next_page_token,
        f"{tenant}.attribution_token": found.attribution_token,
        f"{tenant}.products_token": page.next_page_token,
        f"{tenant}.receipt_id": erased.receipt_id,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _flipped(text: str) -> str:
    """With one letter in the middle changed."""
    middle = len(text) // 2
    return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]
