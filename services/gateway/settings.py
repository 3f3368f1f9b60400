"""What the gateway is configured with."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, data_field, service_config


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
    api_keys: Path | None = None
    """File of API keys; default `<data>/keys/api_keys.json`. Keys are required as soon as it holds one."""
    remembered_products: int = Field(20_000, ge=0)
    """Products kept in memory for answers while the catalogue is down."""

    @property
    def api_keys_file(self) -> Path:
        """The file in use."""
        return self.api_keys or self.data / "keys" / "api_keys.json"
