"""What the gateway is configured with."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, data_field, postgres_dsn_field, service_config


class GatewaySettings(ServiceSettings):
    """Read from `MERCATO_GATEWAY_…`."""

    model_config = service_config("gateway")

    catalog_address: str = address_field("catalog")
    profile_address: str = address_field("profile")
    encoder_address: str = address_field("encoder")
    retrieval_address: str = address_field("retrieval")
    ranking_address: str = address_field("ranking")
    support_address: str = address_field("support")
    trainer_address: str = address_field("trainer")
    data: Path = data_field()

    adaptive_limit: bool = True
    """As in every service, but on: what is refused is refused here, before any other service has worked on it."""
    recommend_seconds: float = Field(2.0, gt=0)
    """Time for a recommendation; less when the caller's deadline is shorter. The stages share it."""
    search_seconds: float = Field(3.0, gt=0)
    """Time for a page of search results."""
    token_key: str = Field("", repr=False)
    """Secret of attribution tokens, the same in every gateway process. Empty: made once and kept in `<data>/keys`."""
    postgres_dsn: str = postgres_dsn_field()
    api_keys: Path | None = None
    """File of API keys of earlier releases, whose keys are taken over; default `<data>/keys/api_keys.json`."""
    require_authentication: bool = False
    """Whether callers must say who they are also while there is no key. Without it a gateway is open as long as there
    was never a key, no token issuer is set, and it listens on the loopback alone."""
    keys_poll_seconds: float = Field(1.0, gt=0)
    """Longest time until a change of keys made through another gateway counts in this one."""
    keys_outage_seconds: float = Field(900.0, ge=0)
    """How long known keys are trusted while the database is away; then calls with keys get UNAVAILABLE."""
    remembered_products: int = Field(20_000, ge=0)
    """Products kept in memory for answers while the catalogue is down."""

    @property
    def loopback_only(self) -> bool:
        """Whether only programs of this machine can call."""
        host = self.listen.rpartition(":")[0].strip("[]")
        return self.listen.startswith("unix:") or host in ("localhost", "::1") or host.startswith("127.")

    @property
    def api_keys_file(self) -> Path:
        """The file in use."""
        return self.api_keys or self.data / "keys" / "api_keys.json"
