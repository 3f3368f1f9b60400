"""A certificate authority of this machine's own: certificates for the units of one suite, renewed before they end."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.supervisor.adapters.data_folder import write_atomically

AUTHORITY_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=30)
RENEWED_BEFORE = LIFETIME / 3
BACKDATED = timedelta(minutes=5)
"""Certificates are valid a little earlier, for clocks that are late."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Files of one unit, PEM."""

    certificate: Path
    key: Path
    ca: Path

    def environment(self) -> dict[str, str]:
        """Under the keys that services read."""
        return {
            "MERCATO_TLS_CERTIFICATE": str(self.certificate),
            "MERCATO_TLS_KEY": str(self.key),
            "MERCATO_TLS_CA": str(self.ca),
        }


class CertificateAuthority:
    """Keeps its key in ``folder``, readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.certificate_file = folder / "ca.crt"
        key_file = folder / "ca.key"
        if not (key_file.exists() and self.certificate_file.exists()):
            self._found(key_file)
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    def provide(self, name: str) -> Issued:
        """Files of ``name``, with a certificate that is valid for a while: made anew where it is not."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True, mode=0o700)
        issued = Issued(folder / "tls.crt", folder / "tls.key", self.certificate_file)
        if not self._serves(issued):
            self.renew(name)
        return issued

    def renew(self, name: str, *, lifetime: timedelta = LIFETIME, backdated: timedelta = BACKDATED) -> None:
        """Replaces the files of ``name``; readers pass over the moment in which only one of them is new."""
        certificate, key = self.issue(name, lifetime=lifetime, backdated=backdated)
        write_atomically(self._folder / name / "tls.key", key, mode=0o600)
        write_atomically(self._folder / name / "tls.crt", certificate, mode=0o644)

    def issue(self, name: str, *, lifetime: timedelta = LIFETIME, backdated: timedelta = BACKDATED) -> tuple[str, str]:
        """Certificate and key, PEM: for ``name`` and this machine's loopback, as server and as client."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("localhost"), loopback])
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        made = (
            _begin(name, key, self._certificate.subject)
            .not_valid_before(now - backdated)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .add_extension(uses, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)

    def _serves(self, issued: Issued) -> bool:
        """Whether the files are there, by this authority, and valid for longer than the renewal needs."""
        try:
            found = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
            serialization.load_pem_private_key(issued.key.read_bytes(), password=None)
            found.verify_directly_issued_by(self._certificate)
        except Exception:  # whatever is wrong with it, a new one is made
            return False
        return found.not_valid_after_utc - datetime.now(UTC) > RENEWED_BEFORE

    def _found(self, key_file: Path) -> None:
        """Makes the authority."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mercato on this machine")])
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made = (
            _begin("Mercato on this machine", key, name)
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        write_atomically(key_file, _pem(key), mode=0o600)
        write_atomically(self.certificate_file, made.public_bytes(serialization.Encoding.PEM).decode(), mode=0o644)


def _begin(name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


async def keep_renewed(authority: CertificateAuthority, names: Collection[str], seconds: float = 3600.0) -> None:
    """Renews the certificates of ``names`` in time, until cancelled. Running processes take the new files up."""
    while True:
        await asyncio.sleep(seconds)
        for name in names:
            await asyncio.to_thread(authority.provide, name)
