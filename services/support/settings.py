"""What the support service is configured with."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, postgres_dsn_field, service_config


class SupportSettings(ServiceSettings):
    """Read from `MERCATO_SUPPORT_…`."""

    model_config = service_config("support")

    postgres_dsn: str = postgres_dsn_field()
    encoder_address: str = address_field("encoder")
    retrieval_address: str = address_field("retrieval")

    calibration: Path = Path(__file__).parent / "calibration" / "calibration.json"
    """How similarity becomes confidence, and the threshold; written by `python -m services.support.calibrate`."""
    handover: str = Field("I'm not sure about that. Shall I connect you with a person from our team?", max_length=500)
    """What customers are offered when the documents do not answer."""
    passage_words: int = Field(90, ge=20, le=200)
    """Longest passage, in words; the encoder cuts at its own limit of tokens."""
    passages_searched: int = Field(12, ge=1, le=100)
    """Passages looked at for one question."""
    index_poll_seconds: float = Field(1.0, gt=0)
    """Longest wait before a change written by another process is noticed."""
    index_lease_seconds: float = Field(30.0, gt=0)
    """After this time a change that a dead worker had claimed is worked on again."""
    index_check_seconds: float = Field(30.0, gt=0)
    """How often the index is compared with the documents: after a loss all passages are indexed again."""
