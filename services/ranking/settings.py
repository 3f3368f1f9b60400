"""What the ranking service is configured with."""

from __future__ import annotations

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, service_config, triton_address_field


class RankingSettings(ServiceSettings):
    """Read from `MERCATO_RANKING_…`."""

    model_config = service_config("ranking")

    trainer_address: str = address_field("trainer")
    triton_address: str = triton_address_field()
    ranker_seconds: float = Field(0.15, gt=0)
    """Longest time of one run of the learned ranker; then the blend orders. Loading one may take longer."""
    load_seconds: float = Field(20.0, gt=0)
    """Longest time to load a ranker into Triton."""
