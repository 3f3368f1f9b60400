"""What the ranking service is configured with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, service_config, triton_address_field

PlacementName = Literal["home", "buy_again", "discover", "product_page", "cart"]
Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class RankingSettings(ServiceSettings):
    """Read from `MERCATO_RANKING_…`."""

    model_config = service_config("ranking")

    trainer_address: str = address_field("trainer")
    triton_address: str = triton_address_field()
    ranker_seconds: float = Field(0.15, gt=0)
    """Longest time of one run of the learned ranker; then the blend orders. Loading one may take longer."""
    load_seconds: float = Field(20.0, gt=0)
    """Longest time to load a ranker into Triton."""
    revenue_weights: dict[PlacementName, Weight] = Field(default_factory=dict)
    """How much amounts count where a request does not say, by placement, as JSON: `{"cart": 0.5}`. 0, as where nothing
    is said: the order is by the probability of a purchase; 1: by expected revenue."""
