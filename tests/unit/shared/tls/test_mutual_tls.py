"""Mutual TLS between a real server and our channels, with certificates made here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.supervisor.adapters.certificates import CertificateAuthority, Issued
from shared.client.channel import open_channel
from shared.errors.mapping import from_rpc_error
from shared.server.bootstrap import StartError, serve_in_process
from shared.settings.base import ServiceSettings
from shared.settings.tls import TlsSettings
from shared.tls.files import CertificateError, CertificateFiles

Code = grpc.StatusCode
Parts = Callable[..., Any]


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "tls")


def tls_of(issued: Issued) -> TlsSettings:
    return TlsSettings(certificate=issued.certificate, key=issued.key, ca=issued.ca)


async def answer(text: str) -> str:
    return text


Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def served(authority: CertificateAuthority, make_echo_parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """``async with served() as address``: the service `echo`, as its environment configures it."""

    @asynccontextmanager
    async def serve(**changes: Any) -> AsyncIterator[str]:
        for key, value in authority.provide("echo").environment().items():
            monkeypatch.setenv(key, value)
        settings = ServiceSettings(drain_seconds=0.0, **changes)
        async with serve_in_process(make_echo_parts(answer), settings) as address:
            yield address

    return serve


async def say(address: str, tls: TlsSettings, make_client: Any, service: str = "echo") -> str:
    async with open_channel(address, service=service, tls=tls, default_timeout_seconds=5) as channel:
        return str(await make_client(channel).say("hello"))


async def test_services_with_certificates_of_one_issuer_talk(
    served: Serve, authority: CertificateAuthority, make_echo_client: Any
) -> None:
    async with served() as address:
        assert await say(address, tls_of(authority.provide("gateway")), make_echo_client) == "hello"


async def test_callers_without_a_good_certificate_are_refused(
    served: Serve, authority: CertificateAuthority, make_echo_client: Any, tmp_path: Path
) -> None:
    strangers = CertificateAuthority(tmp_path / "strangers").provide("gateway")
    stranger = TlsSettings(certificate=strangers.certificate, key=strangers.key, ca=authority.certificate_file)
    authority.provide("late")
    authority.renew("late", lifetime=timedelta(seconds=-1), backdated=timedelta(hours=1))
    ca = authority.certificate_file.read_bytes()
    async with served() as address:
        nothing = grpc.ssl_channel_credentials(ca)
        for channel in (grpc.aio.insecure_channel(address), grpc.aio.secure_channel(address, nothing)):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await make_echo_client(channel).say("hello", timeout=5)
                assert refused.value.code() is Code.UNAVAILABLE
        for tls in (stranger, expired(authority)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await say(address, tls, make_echo_client)
            assert refused.value.code() is Code.UNAVAILABLE


def expired(authority: CertificateAuthority) -> TlsSettings:
    folder = authority.certificate_file.parent / "late"
    return TlsSettings(certificate=folder / "tls.crt", key=folder / "tls.key", ca=authority.certificate_file)


async def test_a_service_that_shows_another_name_is_not_called(
    served: Serve, authority: CertificateAuthority, make_echo_client: Any
) -> None:
    async with served() as address:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await say(address, tls_of(authority.provide("gateway")), make_echo_client, service="catalog")
        assert "Hostname Verification" in str(refused.value.details())


async def test_only_names_that_are_allowed_may_call(
    served: Serve, authority: CertificateAuthority, make_echo_client: Any
) -> None:
    async with served(allowed_clients=("gateway", "trainer")) as address:
        assert await say(address, tls_of(authority.provide("trainer")), make_echo_client) == "hello"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await say(address, tls_of(authority.provide("ranking")), make_echo_client)
        assert refused.value.code() is Code.PERMISSION_DENIED
        assert "certificate" in from_rpc_error(refused.value).message


async def test_an_allow_list_without_tls_lets_nobody_in(make_echo_parts: Parts, make_echo_client: Any) -> None:
    settings = ServiceSettings(drain_seconds=0.0, allowed_clients=("gateway",))
    async with serve_in_process(make_echo_parts(answer), settings) as address:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await say(address, TlsSettings(), make_echo_client)
        assert refused.value.code() is Code.PERMISSION_DENIED


async def test_certificates_are_exchanged_under_load_without_a_failed_call(
    served: Serve, authority: CertificateAuthority, make_echo_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.tls.channel.LOOK_SECONDS", 0.0)
    tls = tls_of(authority.provide("gateway"))
    async with (
        served(allowed_clients=("gateway",)) as address,
        open_channel(address, service="echo", tls=tls, default_timeout_seconds=10, idempotent=()) as channel,
    ):
        client = make_echo_client(channel)
        done = asyncio.Event()
        answered = 0

        async def ask() -> None:
            nonlocal answered
            while not done.is_set():
                assert await client.say("hello") == "hello"
                assert await client.call("UnaryStream") == ["x", "x"]
                answered += 1

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for _ in range(15):
            before = answered
            authority.renew("echo")
            authority.renew("gateway")
            while answered < before + 8 and not any(task.done() for task in asking):
                await asyncio.sleep(0.01)
        authority.renew("gateway", lifetime=timedelta(minutes=1))
        done.set()
        await asyncio.gather(*asking)
        assert answered >= 120
        # The channel does use what was exchanged: a certificate with another name is not let in.
        certificate, key = authority.issue("intruder")
        tls.key.write_text(key)  # type: ignore[union-attr]
        tls.certificate.write_text(certificate)  # type: ignore[union-attr]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.say("hello")
        assert refused.value.code() is Code.PERMISSION_DENIED


async def test_a_server_shows_its_new_certificate_to_new_callers(
    served: Serve, authority: CertificateAuthority, make_echo_client: Any
) -> None:
    gateway = tls_of(authority.provide("gateway"))
    async with served() as address:
        assert await say(address, gateway, make_echo_client) == "hello"
        files = authority.provide("echo")
        certificate, key = authority.issue("renamed")
        files.key.write_text(key)
        files.certificate.write_text(certificate)
        assert await say(address, gateway, make_echo_client, service="renamed") == "hello"
        with pytest.raises(grpc.aio.AioRpcError):
            await say(address, gateway, make_echo_client)


async def test_a_server_does_not_start_with_an_expired_certificate_and_says_so(
    served: Serve, authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.provide("echo")
    authority.renew("echo", lifetime=timedelta(seconds=-1), backdated=timedelta(hours=1))
    monkeypatch.setattr(
        authority,
        "provide",
        lambda name: Issued(
            *(authority.certificate_file.parent / name / part for part in ("tls.crt", "tls.key")),
            authority.certificate_file,
        ),
    )
    with pytest.raises(StartError, match=r"certificate .*tls\.crt expired on "):
        async with served():
            pass


def test_half_written_and_foreign_files_are_passed_over(authority: CertificateAuthority) -> None:
    issued = authority.provide("echo")
    files = CertificateFiles(issued.certificate, issued.key, issued.ca)
    good = files.current()
    assert files.current() is good
    assert good.names == ["echo", "localhost"]
    chain = issued.certificate.read_text()
    for broken in (
        "",
        chain[:200],
        authority.issue("other")[0],
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ):
        issued.certificate.write_text(broken)
        assert files.current() is good
    issued.certificate.unlink()
    assert files.current() is good
    authority.renew("echo")
    assert files.current() is not good


def test_certificates_that_have_expired_already_are_passed_over(authority: CertificateAuthority) -> None:
    issued = authority.provide("echo")
    files = CertificateFiles(issued.certificate, issued.key, issued.ca)
    good = files.current()
    authority.renew("echo", lifetime=timedelta(seconds=-1), backdated=timedelta(hours=1))
    assert files.current() is good
    authority.renew("echo")
    assert files.current() is not good


@pytest.mark.parametrize("missing", ["tls.crt", "tls.key"])
def test_files_that_cannot_be_used_at_first_are_named(authority: CertificateAuthority, missing: str) -> None:
    issued = authority.provide("echo")
    (issued.certificate.parent / missing).unlink()
    with pytest.raises(CertificateError, match=r"tls\.crt"):
        CertificateFiles(issued.certificate, issued.key, issued.ca).current()


def test_half_of_tls_is_no_tls(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needed together; given: certificate"):
        TlsSettings(certificate=tmp_path / "tls.crt")
    assert TlsSettings().files() is None
