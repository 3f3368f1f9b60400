"""A process's certificate, key and trusted issuers in files that others may replace at any time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from shared.telemetry.logs import logger

_log = logger("tls")


class CertificateError(Exception):
    """Files that cannot be used; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the files held together."""

    chain: bytes
    key: bytes
    ca: bytes | None
    names: Sequence[str]
    """DNS names of the certificate."""
    end: datetime

    @property
    def expired(self) -> bool:
        """Whether peers refuse it."""
        return datetime.now(UTC) >= self.end


class CertificateFiles:
    """Reads the files again when one changed. Half-written, wrong and expired ones are passed over: the old ones stay.

    May be used by several threads: gRPC asks from its own.
    """

    def __init__(self, certificate: Path, key: Path, ca: Path | None) -> None:
        self._certificate, self._key, self._ca = certificate, key, ca
        self._lock = threading.Lock()
        self._stamp: object = None
        self._read: Certificates | None = None

    def __str__(self) -> str:
        return str(self._certificate)

    def current(self) -> Certificates:
        """The latest good content; the same object as long as nothing changed. Raises CertificateError at first."""
        with self._lock:
            try:
                stamp = self._stamps()
                if self._read is None or stamp != self._stamp:
                    self._read, self._stamp = self._better(self._load()), stamp
                    _log.info(
                        "certificates read", file=str(self), names=list(self._read.names), end=str(self._read.end)
                    )
            except (OSError, ValueError) as error:
                if self._read is None:
                    raise CertificateError(f"certificate {self._certificate}: {error}") from error
                _log.warning(
                    "new certificates cannot be used; the ones of before stay", file=str(self), error=str(error)
                )
            return self._read

    def _better(self, found: Certificates) -> Certificates:
        """Raises ValueError where peers would refuse what is new and take what is in use."""
        if found.expired and self._read is not None and not self._read.expired:
            raise ValueError(f"it has expired on {found.end}, the one in use has not")
        return found

    def _stamps(self) -> object:
        files = [path for path in (self._certificate, self._key, self._ca) if path]
        return [(found.st_mtime_ns, found.st_ino, found.st_size) for found in map(Path.stat, files)]

    def _load(self) -> Certificates:
        """Raises OSError and ValueError."""
        chain, key = self._certificate.read_bytes(), self._key.read_bytes()
        ca = self._ca.read_bytes() if self._ca else None
        leaf = x509.load_pem_x509_certificates(chain)[0]
        try:
            private = serialization.load_pem_private_key(key, password=None)
        except TypeError:
            raise ValueError(f"the key {self._key} is encrypted") from None
        if _public_bytes(private.public_key()) != _public_bytes(leaf.public_key()):
            raise ValueError(f"the key {self._key} belongs to another certificate")
        if ca is not None:
            x509.load_pem_x509_certificates(ca)
        return Certificates(chain, key, ca, _names(leaf), leaf.not_valid_after_utc)


def _public_bytes(key: object) -> bytes:
    made: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(found.value.get_values_for_type(x509.DNSName))
