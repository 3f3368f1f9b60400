"""Certificates between services, read from ``MERCATO_TLS_…`` in every process."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.tls.files import CertificateFiles


class TlsSettings(BaseSettings):
    """Mutual TLS between services: all three files, or none (plain text). Replaced files are taken up."""

    model_config = SettingsConfigDict(env_prefix="MERCATO_TLS_", frozen=True, extra="ignore", env_ignore_empty=True)

    certificate: Path | None = None
    """This process's certificate chain, PEM. Names of peers are its DNS subject alternative names."""
    key: Path | None = None
    """The certificate's private key, PEM."""
    ca: Path | None = None
    """Certificates of those who issue the peers' certificates, PEM."""
    server_name: str = "{service}"
    """The name that the certificate of a called service must carry, for example `{service}.shop.svc.cluster.local`."""

    @model_validator(mode="after")
    def _all_or_none(self) -> TlsSettings:
        given = [name for name in ("certificate", "key", "ca") if getattr(self, name)]
        if given and len(given) < 3:
            raise ValueError(f"MERCATO_TLS_CERTIFICATE, _KEY and _CA are needed together; given: {', '.join(given)}")
        return self

    def files(self) -> CertificateFiles | None:
        """The files; None: plain text."""
        if self.certificate is None or self.key is None:
            return None
        return CertificateFiles(self.certificate, self.key, self.ca)

    def name_of(self, service: str) -> str:
        """What the certificate of ``service`` must say."""
        return self.server_name.replace("{service}", service)
