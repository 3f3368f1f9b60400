"""What can be set for the encoder."""

from pathlib import Path

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, data_field, service_config, triton_address_field


class EncoderSettings(ServiceSettings):
    """Environment prefix ``MERCATO_ENCODER_``."""

    model_config = service_config("encoder")

    triton_address: str = triton_address_field()
    trainer_address: str = address_field("trainer")
    data: Path = data_field()
    model_repository: Path | None = None
    """Where ``services.encoder.modelrepo`` wrote; default ``<MERCATO_DATA>/models``. Read once, at the start:
    the tokenizer and the manifest of the model, not the weights."""
    cache_bytes: int = Field(64 * 1024 * 1024, ge=0)
    """Memory for vectors that were computed before; 64 MiB hold about 35,000 of 384 dimensions. 0: no cache."""
    batch_texts: int = Field(16, ge=1, le=64)
    """Most texts of one request to Triton; not above the model's ``max_batch_size``."""
    batch_tokens: int = Field(512, ge=16)
    """Most tokens of one request to Triton, padding included: what a short query may have to wait for."""
    bulk_in_flight: int = Field(3, ge=1)
    """Requests to Triton at once for calls with many texts: one more than Triton has instances keeps them busy."""
    interactive_texts: int = Field(8, ge=0)
    """Calls with at most this many new texts go before those with many."""
    triton_timeout_seconds: float = Field(20.0, gt=0)
    """How long one request to Triton may take."""

    @property
    def repository(self) -> Path:
        """The model repository in use."""
        return self.model_repository or self.data / "models"
