"""The whole suite with mutual TLS by one setting: who is refused, and certificates exchanged while everybody works."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from mercato.catalog.v1 import catalog_service_pb2
from mercato.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub

from services.supervisor.adapters.certificates import CertificateAuthority
from services.supervisor.services import SERVICES
from services.supervisor.settings import SupervisorSettings
from tests.e2e.conftest import MODELS, ROOT, Running
from tests.e2e.shop import Shop, until
from tests.e2e.test_isolation import output_of
from tests.suites.background_suite import BackgroundSuite


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("secured")
    os.environ.setdefault("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'shared' / 'protogen'}")
    settings = SupervisorSettings(
        data=data,
        gateway_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        model_repository=MODELS,
        ready_seconds=240,
        tls=True,
    )
    with BackgroundSuite(settings) as suite:
        suite.call(suite.suite.wait_ready(), 260)
        yield Running(suite, suite.suite.addresses["gateway"], data)


def authority_of(running: Running) -> CertificateAuthority:
    return CertificateAuthority(running.data / "tls")


def public(running: Running) -> grpc.aio.Channel:
    """What a customer's program opens: it knows the issuer and shows no certificate."""
    roots = authority_of(running).certificate_file.read_bytes()
    return grpc.aio.secure_channel(running.address, grpc.ssl_channel_credentials(roots))


async def test_the_suite_works_and_the_public_port_speaks_tls_only(secured: Running) -> None:
    async with public(secured) as channel:
        await Shop(channel, "secured").filled()
        assert (await Shop(channel, "secured").recommend("user-1")).results
    async with grpc.aio.insecure_channel(secured.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Shop(channel, "secured").status()
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_inner_services_refuse_whoever_is_none_of_their_callers(secured: Running) -> None:
    authority, catalog = authority_of(secured), secured.suite.suite.addresses["catalog"]
    roots = authority.certificate_file.read_bytes()
    name = (("grpc.ssl_target_name_override", "catalog"),)
    request = catalog_service_pb2.GetCatalogStateRequest()

    async def code(channel: grpc.aio.Channel) -> grpc.StatusCode:
        async with channel:
            try:
                await CatalogServiceStub(channel).GetCatalogState(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    def showing(unit: str) -> grpc.aio.Channel:
        issued = authority.provide(unit)
        pair = issued.key.read_bytes(), issued.certificate.read_bytes()
        return grpc.aio.secure_channel(catalog, grpc.ssl_channel_credentials(roots, *pair), name)

    unavailable = grpc.StatusCode.UNAVAILABLE
    assert await code(grpc.aio.insecure_channel(catalog)) is unavailable
    assert await code(grpc.aio.secure_channel(catalog, grpc.ssl_channel_credentials(roots), name)) is unavailable
    assert await code(showing("ranking")) is grpc.StatusCode.PERMISSION_DENIED
    assert await code(showing("gateway")) is grpc.StatusCode.OK


def test_command_and_proxy_reach_the_gateway(secured: Running) -> None:
    ca = str(authority_of(secured).certificate_file)
    told = json.loads(output_of(["status", "--json", "--address", secured.address, "--ca", ca]))
    assert all(component["healthy"] for component in told["components"])
    with urllib.request.urlopen(f"http://{secured.suite.suite.addresses['envoy']}/v1/products", timeout=10) as answer:
        assert answer.status == 200


async def test_certificates_are_exchanged_under_load_without_a_failed_request(secured: Running) -> None:
    authority = authority_of(secured)
    async with public(secured) as channel:
        shop = Shop(channel, "secured")
        await until(lambda: answers_whole(shop))
        done = asyncio.Event()
        answered = 0

        async def ask() -> None:
            nonlocal answered
            while not done.is_set():
                answer = await shop.recommend("user-1")
                assert not answer.missing_stages
                assert (await shop.search("milk")).results
                answered += 1

        asking = [asyncio.create_task(ask()) for _ in range(2)]
        for _ in range(4):
            before = answered
            for unit in SERVICES:
                authority.renew(unit)
            while answered < before + 12 and not any(task.done() for task in asking):
                await asyncio.sleep(0.05)
        done.set()
        await asyncio.gather(*asking)
    for unit in ("catalog", "gateway"):
        assert shown(secured, unit) == authority.provide(unit).certificate.read_text(), (
            "new connections see the new one"
        )


async def answers_whole(shop: Shop) -> bool:
    return not (await shop.recommend("user-1")).missing_stages


def shown(running: Running, unit: str) -> str:
    """The certificate that a unit shows to a new connection, PEM."""
    host, _, port = running.suite.suite.addresses[unit].rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=10).rstrip() + "\n"


async def test_an_expired_certificate_is_told_in_one_line_and_a_new_one_heals(secured: Running) -> None:
    authority = authority_of(secured)
    before = secured.suite.suite.unit("ranking")
    assert before.pid is not None
    log = secured.data / "logs" / "ranking.log"
    authority.renew("ranking", lifetime=timedelta(seconds=-1), backdated=timedelta(hours=1))
    async with public(secured) as channel:
        shop = Shop(channel, "secured")
        os.kill(before.pid, signal.SIGKILL)
        # The supervisor makes a new certificate before it starts the process again.
        await asyncio.to_thread(secured.suite.restarted, "ranking", before, 90)
        await until(lambda: answers_whole(shop))
    assert "Traceback" not in read(log)


def read(path: Path) -> str:
    return path.read_text(errors="replace")
