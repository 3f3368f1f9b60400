"""What can be set for HTTP: JSON and gRPC-Web in front of the gateway."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class HttpSettings(BaseSettings):
    """Environment prefix ``MERCATO_HTTP_``."""

    model_config = SettingsConfigDict(
        env_prefix="MERCATO_HTTP_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call, as browsers send them (``["https://shop.example"]``, JSON); ``["*"]``: all."""
    cors_max_age_seconds: int = Field(600, ge=0)
    """How long browsers remember the answer to a preflight."""

    tls_certificate: Path | None = None
    """PEM chain to serve HTTPS with; read again when the file is replaced by a rename. Default: plain HTTP."""
    tls_key: Path | None = None
    """Its private key."""

    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024)
    """Largest body of a JSON request, imports included (larger: 413), and largest single answer."""
    max_memory_bytes: int = Field(1024 * 1024 * 1024, ge=64 * 1024 * 1024)
    """Memory beyond which new requests get 503."""
    max_header_kilobytes: int = Field(32, ge=8, le=96)
    """Largest sum of a request's headers, its URL included; larger ones get 431."""
    max_headers: int = Field(64, ge=16)
    """Most headers of a request."""
    max_connections: int = Field(4096, ge=1)
    """Connections of clients at once; one more is closed."""
    max_requests: int = Field(1024, ge=1)
    """Requests at the gateway at once; one more gets 503 with a time to try again."""

    request_seconds: float = Field(35.0, gt=0)
    """Most time for a call with one answer, from its first byte to its last."""
    upload_seconds: float = Field(120.0, gt=0)
    """Most time for a JSON body to arrive."""
    stream_seconds: float = Field(6 * 3600.0, gt=0)
    """Most time for an import, a training, an export or any other stream."""
    idle_seconds: float = Field(300.0, gt=0)
    """A stream on which nothing moves for so long is ended; a connection without requests is closed."""
    header_seconds: float = Field(10.0, gt=0)
    """Most time for a request's headers to arrive."""

    trusted_proxies: int = Field(0, ge=0)
    """How many proxies of your own stand before this one."""
    workers: int = Field(1, ge=1)
    """Threads."""
    access_log: bool = True
    """One line per finished request: rpc, codes, bytes, milliseconds, request id; no address, path or header."""

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        """A certificate without its key is of no use."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be given together")
        return self
