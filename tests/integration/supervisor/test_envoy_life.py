"""The proxy while the gateway comes and goes, and while its certificate is renewed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from services.supervisor.adapters.certificates import CertificateAuthority
from services.supervisor.adapters.tcp_ports import PortBook
from tests.integration.supervisor.front import Front, Gateway, gateway_on
from tests.suites.background_suite import BackgroundSuite, embedded
from tests.suites.http import grpc_web


async def test_a_gateway_that_is_away_is_said_so_with_a_time_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = PortBook(tmp_path / "ports.json").choose("gateway")
    gateway = Gateway()
    settings = embedded(tmp_path / "data", gateway_address=f"127.0.0.1:{port}")
    async with gateway_on(port, gateway):
        suite = await asyncio.to_thread(BackgroundSuite, settings, {"envoy"})
    try:
        front = Front(suite.suite.addresses["envoy"], "", gateway, tmp_path)
        answer = await front.search()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (answer.json["code"], answer.reason) == (14, "DEPENDENCY_UNAVAILABLE")
        assert answer.detail("RetryInfo")["retryDelay"] == "1s"
        method = "/mercato.gateway.v1.SearchService/Search"
        _, trailers = await asyncio.to_thread(grpc_web, front.address, method, b"")
        assert trailers["grpc-status"] == "14"
        async with asyncio.timeout(30):
            while (await front.ask("GET", "/healthz")).status != 503:
                await asyncio.sleep(0.1)
        async with gateway_on(port, gateway), asyncio.timeout(30):
            while (await front.search()).status != 200:
                await asyncio.sleep(0.1)
    finally:
        await asyncio.to_thread(suite.close)


async def test_https_takes_a_new_certificate_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = CertificateAuthority(tmp_path / "tls")
    issued = authority.provide("shop.example")
    monkeypatch.setenv("MERCATO_HTTP_TLS_CERTIFICATE", str(issued.certificate))
    monkeypatch.setenv("MERCATO_HTTP_TLS_KEY", str(issued.key))
    trusted = ssl.create_default_context(cafile=str(issued.ca))

    def served(address: str) -> bytes:
        host, _, port = address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), 10) as bare,
            trusted.wrap_socket(bare, server_hostname=host) as it,
        ):
            it.sendall(b"GET /livez HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
            assert b" 200 " in it.recv(65536).splitlines()[0]
            return it.getpeercert(binary_form=True) or b""

    gateway, port = Gateway(), PortBook(tmp_path / "ports.json").choose("gateway")
    async with gateway_on(port, gateway):
        settings = embedded(tmp_path / "data", gateway_address=f"127.0.0.1:{port}")
        suite = await asyncio.to_thread(BackgroundSuite, settings, {"envoy"})
        try:
            address, before = suite.suite.addresses["envoy"], suite.suite.unit("envoy").pid
            first = await asyncio.to_thread(served, address)
            authority.renew("shop.example")
            async with asyncio.timeout(30):
                while await asyncio.to_thread(served, address) == first:
                    await asyncio.sleep(0.1)
            assert suite.suite.unit("envoy").pid == before
        finally:
            await asyncio.to_thread(suite.close)
