"""What the trainer is configured with."""

from __future__ import annotations

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, postgres_dsn_field, service_config


class TrainerSettings(ServiceSettings):
    """Read from `MERCATO_TRAINER_…`."""

    model_config = service_config("trainer")

    postgres_dsn: str = postgres_dsn_field()
    profile_address: str = address_field("profile")
    catalog_address: str = address_field("catalog")

    releases_kept: int = Field(5, ge=2, le=100)
    """Releases a tenant keeps; older ones are deleted, never the current one."""
    neighbours: int = Field(50, ge=1, le=500)
    """Neighbours kept an item."""
    jobs: int = Field(1, ge=1, le=16)
    """Trainings of different tenants at once in this process; one takes a core and up to 2 GiB. Others wait."""
    least_purchases: int = Field(2, ge=1)
    """An item needs this many baskets to have neighbours."""
    history_days: int = Field(730, ge=1)
    """Purchases older than this, counted from the latest, are not learnt from."""
    watch_seconds: float = Field(2.0, gt=0)
    """Longest wait before a release promoted by another process is noticed."""
