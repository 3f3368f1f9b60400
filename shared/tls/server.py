"""Credentials of a server whose certificate may be replaced while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import grpc

from shared.telemetry.logs import logger
from shared.telemetry.metrics import gauge
from shared.tls.files import CertificateError, CertificateFiles, Certificates

SECONDS_LEFT = gauge("tls_certificate_left_seconds", "Time until this process's certificate expires.")
WARN_SECONDS = 3 * 86_400.0
LOOK_SECONDS = 30.0

_log = logger("tls")


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a server shows, and whether callers must show a certificate of the same issuers."""

    files: CertificateFiles
    client_certificates: bool


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Credentials that look at the files at each handshake. Raises CertificateError for files that cannot be used."""
    used = check(tls.files)

    def replaced() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        found = tls.files.current()
        if found is used:
            return None
        used = found
        return _configuration(found)

    # None means unchanged; the type stubs do not know it.
    changed = cast(Callable[[], grpc.ServerCertificateConfiguration], replaced)
    return grpc.dynamic_ssl_server_credentials(_configuration(used), changed, tls.client_certificates)


def check(files: CertificateFiles) -> Certificates:
    """The certificates, fit to start with. Raises CertificateError, also for an expired one."""
    found = files.current()
    if found.expired:
        raise CertificateError(f"certificate {files} expired on {found.end:%Y-%m-%d %H:%M:%S} UTC")
    return found


async def watch_certificate(files: CertificateFiles) -> None:
    """Tells how long the certificate is valid, until cancelled."""
    while True:
        found = files.current()
        left = (found.end - datetime.now(UTC)).total_seconds()
        SECONDS_LEFT.set(left)
        if left <= 0:
            _log.error("certificate expired: peers refuse new connections", file=str(files), end=str(found.end))
        elif left < WARN_SECONDS:
            _log.warning("certificate expires soon", file=str(files), end=str(found.end))
        await asyncio.sleep(LOOK_SECONDS)


def _configuration(found: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(found.key, found.chain)], root_certificates=found.ca)
