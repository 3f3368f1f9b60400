from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.settings.base import (
    ServiceSettings,
    address_field,
    data_field,
    milvus_uri_field,
    postgres_dsn_field,
    service_config,
    triton_address_field,
)


class CatalogSettings(ServiceSettings):
    model_config = service_config("catalog")

    postgres_dsn: str = postgres_dsn_field()
    encoder_address: str = address_field("encoder")
    triton_address: str = triton_address_field()
    milvus_uri: str = milvus_uri_field()
    data: Path = data_field()
    batch_size: int = 100


def test_defaults_are_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("MERCATO_CATALOG_LISTEN", "MERCATO_ENCODER_ADDRESS"):
        monkeypatch.delenv(key, raising=False)
    settings = CatalogSettings()
    assert settings.listen == "127.0.0.1:50051"
    assert settings.encoder_address == "127.0.0.1:50053"
    assert settings.metrics_port == 0


def test_own_and_shared_keys_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCATO_CATALOG_LISTEN", "0.0.0.0:7")
    monkeypatch.setenv("MERCATO_CATALOG_BATCH_SIZE", "5")
    monkeypatch.setenv("MERCATO_POSTGRES_DSN", "postgresql://u:secret@h/d")
    monkeypatch.setenv("MERCATO_ENCODER_ADDRESS", "encoder:1")
    monkeypatch.setenv("MERCATO_TRITON_ADDRESS", "triton:2")
    monkeypatch.setenv("MERCATO_MILVUS_URI", "http://milvus:3")
    monkeypatch.setenv("MERCATO_DATA", "/data")
    settings = CatalogSettings()
    assert (settings.listen, settings.batch_size) == ("0.0.0.0:7", 5)
    assert (settings.encoder_address, settings.triton_address) == ("encoder:1", "triton:2")
    assert (settings.milvus_uri, settings.data) == ("http://milvus:3", Path("/data"))
    assert settings.postgres_dsn == "postgresql://u:secret@h/d"
    assert "secret" not in repr(settings)


def test_fields_can_be_given_by_name() -> None:
    settings = CatalogSettings(postgres_dsn="dbname=x", encoder_address="e:1", listen="127.0.0.1:0")
    assert (settings.postgres_dsn, settings.encoder_address, settings.listen) == ("dbname=x", "e:1", "127.0.0.1:0")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        CatalogSettings().listen = "x"  # type: ignore[misc]


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCATO_CATALOG_BATCH_SIZE", "")
    assert CatalogSettings().batch_size == 100
