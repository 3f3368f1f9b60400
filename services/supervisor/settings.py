"""What can be set for the supervisor."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _shared(name: str) -> AliasChoices:
    """A key of the whole suite, without the supervisor's prefix."""
    return AliasChoices(f"MERCATO_{name}")


class SupervisorSettings(BaseSettings):
    """Environment prefix ``MERCATO_SUPERVISOR_``; keys of the whole suite as named at their fields."""

    model_config = SettingsConfigDict(
        env_prefix="MERCATO_SUPERVISOR_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    data: Path = Field(default=Path("data"), validation_alias=_shared("DATA"))
    """MERCATO_DATA: the folder of everything that the suite keeps."""

    gateway_address: str = Field(
        default="127.0.0.1:50050", pattern=r"^.*:\d{1,5}$", validation_alias=_shared("GATEWAY_LISTEN")
    )
    """MERCATO_GATEWAY_LISTEN: where the gateway listens (host:port; port 0: a free one)."""

    http_address: str = Field(
        default="127.0.0.1:50080", pattern=r"^(off|.*:\d{1,5})$", validation_alias=_shared("HTTP_LISTEN")
    )
    """MERCATO_HTTP_LISTEN: where JSON and gRPC-Web are served (host:port; port 0: a free one; ``off``: not)."""

    postgres_dsn: str | None = Field(default=None, validation_alias=_shared("POSTGRES_DSN"))
    """MERCATO_POSTGRES_DSN: a PostgreSQL run by somebody else; none is started then."""

    triton_address: str | None = Field(default=None, validation_alias=_shared("TRITON_ADDRESS"))
    """MERCATO_TRITON_ADDRESS: host:port of the gRPC endpoint of a Triton run by somebody else."""

    triton_traces_url: str | None = Field(default=None, validation_alias=_shared("TRITON_TRACES_URL"))
    """MERCATO_TRITON_TRACES_URL: OTLP/HTTP address for the traces of the Triton started here, ``http://host:4318/v1/traces``."""

    milvus_uri: str | None = Field(default=None, validation_alias=_shared("MILVUS_URI"))
    """MERCATO_MILVUS_URI: a Milvus run by somebody else, ``http://host:port``."""

    ports: dict[str, int] = Field(default_factory=dict)
    """Fixed ports by unit (JSON in the environment), for example ``{"postgres": 5432}``; the others are chosen."""

    metrics: bool = True
    """Whether services and Triton serve Prometheus metrics on ports of their own."""

    model_repository: Path | None = None
    """Triton's model repository; default ``<data>/models``."""

    model_command: tuple[str, ...] = ("-m", "services.encoder.modelrepo", "--repository", "{repository}")
    """Arguments for Python that write the model repository before Triton starts; empty: it is there already."""

    tls: bool = Field(default=False, validation_alias=_shared("TLS"))
    """MERCATO_TLS: mutual TLS between the services and TLS at the gateway, with certificates of an authority kept in
    ``<data>/tls``, renewed while everything runs."""

    system_user: str = "nobody"
    """Who runs PostgreSQL when the supervisor is root."""

    ready_seconds: float = 900.0
    """How long ``wait_ready`` waits; the first start exports a model."""

    stable_seconds: float = 30.0
    """A unit that was ready this long starts again at once when it ends; others wait longer and longer."""

    longest_pause_seconds: float = 15.0
    """The longest pause between two starts of a unit that keeps ending."""

    failed_starts: int = 6
    """Starts in a row that never became ready after which ``wait_ready`` gives up."""

    log_bytes: int = 16 * 1024 * 1024
    """The size at which a unit's log is moved to ``<unit>.log.1``."""

    @property
    def repository(self) -> Path:
        """The model repository in use."""
        return (self.model_repository or self.data / "models").absolute()
