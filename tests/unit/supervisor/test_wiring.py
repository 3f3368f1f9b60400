from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from services.supervisor.adapters.data_folder import DataFolder
from services.supervisor.adapters.triton_probe import small_request
from services.supervisor.errors import SupervisorError
from services.supervisor.services import FRONT, SERVICES, UNITS
from services.supervisor.settings import SupervisorSettings
from services.supervisor.wiring import plan


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    with DataFolder(tmp_path / "data") as folder:
        yield folder


def settings(folder: DataFolder, **changes: Any) -> SupervisorSettings:
    values = {"postgres_dsn": None, "triton_address": None, "milvus_uri": None, "gateway_address": "127.0.0.1:0"}
    values["http_address"] = "127.0.0.1:0"
    return SupervisorSettings(**{"data": folder.root, **values, **changes})


def test_every_service_hears_of_every_other(folder: DataFolder) -> None:
    made = plan(settings(folder), folder, None)
    assert set(made.units) == set(UNITS)
    for name in SERVICES:
        prefix = f"MERCATO_{name.upper()}"
        assert made.environment[f"{prefix}_ADDRESS"] == made.environment[f"{prefix}_LISTEN"] == made.units[name].address
        assert int(made.environment[f"{prefix}_METRICS_PORT"]) > 0
        command = made.units[name].command()
        assert command.arguments[1:] == ("-m", f"services.{name}")
        assert command.environment.items() >= made.environment.items()
    addresses = [unit.address for unit in made.units.values()]
    assert len(set(addresses)) == len(addresses)


def test_what_the_user_runs_is_not_started(folder: DataFolder) -> None:
    given = {
        "postgres_dsn": "postgresql://shop:secret@db.example:6432/shop",
        "triton_address": "triton.example:8001",
        "milvus_uri": "http://milvus.example:19530",
    }
    made = plan(settings(folder, **given), folder, None)
    assert set(made.units) == {*SERVICES, *FRONT}
    assert made.environment["MERCATO_POSTGRES_DSN"] == given["postgres_dsn"]
    assert made.environment["MERCATO_TRITON_ADDRESS"] == given["triton_address"]
    assert made.environment["MERCATO_MILVUS_URI"] == given["milvus_uri"]
    assert made.external["postgres"] == "db.example:6432"
    assert "secret" not in str(made.external)


def test_a_gateway_for_all_interfaces_is_reached_over_loopback(folder: DataFolder) -> None:
    port = plan(settings(folder), folder, {"gateway"}).units["gateway"].address.rpartition(":")[2]
    made = plan(settings(folder, gateway_address=f"0.0.0.0:{port}"), folder, {"gateway"})
    assert made.environment["MERCATO_GATEWAY_LISTEN"] == f"0.0.0.0:{port}"
    assert made.environment["MERCATO_GATEWAY_ADDRESS"] == f"127.0.0.1:{port}"


def test_the_proxy_stands_before_the_gateway_unless_it_is_off(folder: DataFolder) -> None:
    made = plan(settings(folder), folder, None)
    assert [need.unit for need in made.units["envoy"].needs] == ["gateway"]
    assert made.environment["MERCATO_HTTP_ADDRESS"] == made.units["envoy"].address
    assert "envoy" not in plan(settings(folder, http_address="off"), folder, None).units


def test_only_names_units(folder: DataFolder) -> None:
    assert set(plan(settings(folder), folder, {"postgres", "milvus"}).units) == {"postgres", "milvus"}
    with pytest.raises(SupervisorError, match="no such unit: redis"):
        plan(settings(folder), folder, {"redis"})


def test_environment_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCATO_DATA", "/somewhere")
    monkeypatch.setenv("MERCATO_GATEWAY_LISTEN", "127.0.0.1:6000")
    monkeypatch.setenv("MERCATO_POSTGRES_DSN", "")
    monkeypatch.setenv("MERCATO_MILVUS_URI", "http://milvus:19530")
    monkeypatch.setenv("MERCATO_SUPERVISOR_PORTS", '{"postgres": 5432}')
    read = SupervisorSettings()
    assert (read.data, read.gateway_address, read.ports) == (Path("/somewhere"), "127.0.0.1:6000", {"postgres": 5432})
    assert (read.postgres_dsn, read.milvus_uri) == (None, "http://milvus:19530")


def test_a_probe_request_fills_every_input() -> None:
    described = service_pb2.ModelMetadataResponse()
    described.inputs.add(name="ids", datatype="INT64", shape=[-1, 3])
    described.inputs.add(name="weights", datatype="FP32", shape=[-1])
    described.inputs.add(name="text", datatype="BYTES", shape=[2])
    request = small_request("model", "1", described)
    assert [list(part.shape) for part in request.inputs] == [[1, 3], [1], [2]]
    assert request.raw_input_contents[0] == b"\x01\0\0\0\0\0\0\0" * 3
    assert request.raw_input_contents[1] == b"\0\0\0\0"
    assert request.raw_input_contents[2] == b"\x01\0\0\0x" * 2


def test_a_proxy_that_others_reach_makes_the_gateway_ask_for_credentials(folder: DataFolder) -> None:
    key = "MERCATO_GATEWAY_REQUIRE_AUTHENTICATION"
    assert key not in plan(settings(folder), folder, None).environment
    port = plan(settings(folder), folder, None).units["envoy"].address.rpartition(":")[2]
    made = plan(settings(folder, http_address=f"0.0.0.0:{port}"), folder, None)
    assert made.units["gateway"].command().environment[key] == "true"


def test_with_tls_each_service_has_a_certificate_and_knows_its_callers(folder: DataFolder) -> None:
    made = plan(settings(folder, tls=True), folder, None)
    environments = {name: made.units[name].command().environment for name in SERVICES}
    files = {environment["MERCATO_TLS_CERTIFICATE"] for environment in environments.values()}
    assert len(files) == len(SERVICES)
    assert all(Path(path).exists() for path in files)
    assert environments["ranking"]["MERCATO_RANKING_ALLOWED_CLIENTS"] == '["gateway", "supervisor"]'
    assert "MERCATO_GATEWAY_ALLOWED_CLIENTS" not in environments["gateway"]
    assert environments["gateway"]["MERCATO_GATEWAY_PUBLIC_KEY"].endswith("gateway/tls.key")
    assert (folder.root / "tls" / "ca.key").stat().st_mode & 0o077 == 0
