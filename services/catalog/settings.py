"""What the catalogue is configured with."""

from __future__ import annotations

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, postgres_dsn_field, service_config


class CatalogSettings(ServiceSettings):
    """Read from `MERCATO_CATALOG_…`."""

    model_config = service_config("catalog")

    postgres_dsn: str = postgres_dsn_field()
    encoder_address: str = address_field("encoder")
    retrieval_address: str = address_field("retrieval")

    workers: int = Field(2, ge=0, le=32)
    """Index workers of this process: one encodes while the other writes. 0: another process does this work."""
    index_batch: int = Field(128, ge=1, le=256)
    """Changes that a worker claims at once."""
    index_poll_seconds: float = Field(1.0, gt=0)
    """Longest wait before a change written by another process is noticed."""
    index_lease_seconds: float = Field(60.0, gt=0)
    """After this time changes that a dead worker had claimed are worked on again."""
    index_check_seconds: float = Field(15.0, gt=0)
    """How often it is checked that every tenant's index exists and fits the encoder's model."""
