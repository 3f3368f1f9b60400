"""What the ranking service is configured with."""

from __future__ import annotations

from shared.settings.base import ServiceSettings, address_field, service_config


class RankingSettings(ServiceSettings):
    """Read from `MERCATO_RANKING_…`."""

    model_config = service_config("ranking")

    trainer_address: str = address_field("trainer")
