"""Base of every service's settings: frozen, read from the environment, one prefix a service.

A field ``x`` of service ``catalog`` is read from ``MERCATO_CATALOG_X``. Addresses shared by all services
(``MERCATO_POSTGRES_DSN``, ``MERCATO_ENCODER_ADDRESS``, ...) have helpers below; the service's own
``MERCATO_CATALOG_POSTGRES_DSN`` is the fallback when the shared key is unset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings.tls import TlsSettings
from shared.tls.server import ServerTls

DEFAULT_PORTS = {
    "gateway": 50050,
    "catalog": 50051,
    "profile": 50052,
    "encoder": 50053,
    "retrieval": 50054,
    "ranking": 50055,
    "support": 50056,
    "trainer": 50057,
}
"""Loopback port of each service when nothing is configured."""

PREFIX = "MERCATO_"


def default_address(service: str) -> str:
    """Loopback ``host:port`` of a service; port 0 (any free port) for a name that is not in the table."""
    return f"127.0.0.1:{DEFAULT_PORTS.get(service, 0)}"


def service_config(name: str) -> SettingsConfigDict:
    """Settings configuration of the service ``name``: prefix ``MERCATO_<NAME>_``, frozen, unknown keys ignored."""
    return SettingsConfigDict(
        env_prefix=f"{PREFIX}{name.upper()}_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )


def shared_field(key: str, default: Any, description: str, *, secret: bool = False) -> Any:
    """A field read from ``MERCATO_<key>``, the same key in every service. ``secret`` keeps it out of ``repr``."""
    return Field(default, validation_alias=f"{PREFIX}{key}", description=description, repr=not secret)


def postgres_dsn_field() -> Any:
    """``MERCATO_POSTGRES_DSN``: libpq URI or key=value string. Never shown: it may hold a password."""
    default = "postgresql://mercato@127.0.0.1:5432/mercato"
    return shared_field("POSTGRES_DSN", default, "libpq connection string", secret=True)


def address_field(service: str) -> Any:
    """``MERCATO_<SERVICE>_ADDRESS``: ``host:port`` (or any gRPC target) of another service."""
    return shared_field(f"{service.upper()}_ADDRESS", default_address(service), f"gRPC target of {service}")


def triton_address_field() -> Any:
    """``MERCATO_TRITON_ADDRESS``: ``host:port`` of Triton's gRPC endpoint."""
    return shared_field("TRITON_ADDRESS", "127.0.0.1:8001", "gRPC endpoint of Triton")


def milvus_uri_field() -> Any:
    """``MERCATO_MILVUS_URI``: ``http://host:port`` of a server, or the path of a Milvus Lite folder."""
    return shared_field("MILVUS_URI", "http://127.0.0.1:19530", "Milvus URI")


def data_field() -> Any:
    """``MERCATO_DATA``: folder for what a process keeps on disk."""
    return shared_field("DATA", Path("data"), "data folder")


class ServiceSettings(BaseSettings):
    """What every service process is configured with. Subclasses set ``model_config = service_config(name)``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True)

    listen: str = "127.0.0.1:0"
    """``host:port`` to serve gRPC on; the service's port of ``DEFAULT_PORTS`` when unset; port 0 takes a free one."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port of the Prometheus HTTP endpoint, on the host of ``listen``; 0 turns it off."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""
    log_format: Literal["json", "console"] = "json"
    """``json`` for machines, ``console`` for a terminal."""
    access_log: bool = True
    """One line per finished call."""
    drain_seconds: float = Field(10.0, ge=0)
    """How long running calls may go on after SIGTERM before they are cancelled."""
    drain_lead_seconds: float = Field(0.0, ge=0)
    """How long new calls are still taken after SIGTERM, while health says NOT_SERVING already: as long as a load
    balancer needs to stop sending here (Kubernetes: 5)."""
    max_message_bytes: int = Field(16 * 1024 * 1024, ge=1024)
    """Largest request or response message; larger requests get RESOURCE_EXHAUSTED, reason MESSAGE_TOO_LARGE."""
    max_in_flight: int = Field(512, ge=1)
    """Calls served at once, streams included; one more is refused with RESOURCE_EXHAUSTED, reason OVERLOADED."""
    adaptive_limit: bool = False
    """Whether the limit adapts, below ``max_in_flight``, to what the service can do. On in the gateway: what it lets
    in is to be answered whole, so the services behind it refuse only what is beyond their fixed limit."""
    first_limit: int = Field(24, ge=1)
    """The adaptive limit to begin with."""
    least_limit: int = Field(8, ge=1)
    """The adaptive limit never goes below."""
    queue_seconds: float = Field(0.5, ge=0)
    """How long an urgent call of a burst waits for a place at most, a tenth of it once the queue stands that long; ten
    times as long for imports and reports."""
    default_deadline_seconds: float = Field(10.0, gt=0)
    """Deadline of a unary call whose client set none."""
    stream_idle_seconds: float = Field(120.0, gt=0)
    """A stream whose client sends nothing that is waited for, or takes nothing that waits for it, ends after this."""
    health_interval_seconds: float = Field(2.0, gt=0)
    """Pause between two checks of the dependencies."""
    health_timeout_seconds: float = Field(1.5, gt=0)
    """A dependency that takes longer to answer its check counts as down."""
    allowed_clients: tuple[str, ...] = ()
    """With mutual TLS: names in certificates that may call this service, as JSON. Empty: all of the same issuer."""

    def server_tls(self) -> ServerTls | None:
        """How the server is secured: mutual TLS where MERCATO_TLS_… names certificates; None: plain text."""
        files = TlsSettings().files()
        return ServerTls(files, client_certificates=True) if files else None

    @model_validator(mode="before")
    @classmethod
    def _listen_on_own_port(cls, values: Any) -> Any:
        """Fills ``listen`` from the table of default ports, by the service named in the prefix."""
        service = str(cls.model_config.get("env_prefix", "")).removeprefix(PREFIX).rstrip("_").lower()
        if isinstance(values, dict) and service in DEFAULT_PORTS:
            values.setdefault("listen", default_address(service))
        return values
