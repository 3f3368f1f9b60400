"""A killed backing system comes back by itself: same port, same data."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
import tritonclient.grpc as triton
from pymilvus import MilvusClient

from services.supervisor.domain import UnitStatus
from tests.suites.background_suite import BackgroundSuite, embedded
from tests.suites.identity_model import write_identity_model


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackgroundSuite]:
    data = tmp_path_factory.mktemp("suite")
    repository = write_identity_model(data / "models")
    settings = embedded(data, model_repository=repository, model_command=())
    with BackgroundSuite(settings, {"postgres", "triton", "milvus"}) as suite:
        yield suite


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def restarted(running: BackgroundSuite, before: UnitStatus) -> UnitStatus:
    after = running.restarted(before.unit, before)
    assert after.restarts == before.restarts + 1
    assert after.address == before.address
    return after


def test_postgres_keeps_acknowledged_rows(running: BackgroundSuite) -> None:
    dsn = running.suite.environment["MERCATO_POSTGRES_DSN"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id int PRIMARY KEY)")
        for number in range(50):
            connection.execute("INSERT INTO kept VALUES (%s)", (number,))
        before = running.suite.unit("postgres")
        kill(before.pid)
    restarted(running, before)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (50,)


def test_postgres_starts_over_a_stale_process_file(running: BackgroundSuite, tmp_path: Path) -> None:
    folder = Path(running.suite.environment["MERCATO_DATA"]) / "postgres"
    before = running.suite.unit("postgres")
    kill(before.pid)
    # What a crash leaves when the process id has since been given to a process of the same user.
    (folder / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n")
    restarted(running, before)


def test_postgres_has_the_extensions_and_durability_that_services_rely_on(running: BackgroundSuite) -> None:
    with psycopg.connect(running.suite.environment["MERCATO_POSTGRES_DSN"], autocommit=True) as connection:
        for extension in ("pg_trgm", "unaccent", "vector"):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        for name in ("synchronous_commit", "fsync", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)


def test_postgres_refuses_a_wrong_password(running: BackgroundSuite) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(running.suite.environment["MERCATO_POSTGRES_DSN"], password="guess")


def test_milvus_keeps_acknowledged_rows(running: BackgroundSuite) -> None:
    uri = running.suite.environment["MERCATO_MILVUS_URI"]
    client = MilvusClient(uri)
    client.create_collection("kept", dimension=4, metric_type="COSINE")
    client.insert("kept", [{"id": number, "vector": [1.0, number, 0.0, 0.0]} for number in range(200)])
    client.close()
    before = running.suite.unit("milvus")
    kill(before.pid)
    restarted(running, before)
    client = MilvusClient(uri)
    client.load_collection("kept")
    assert client.query("kept", filter="id >= 0", output_fields=["count(*)"], consistency_level="Strong") == [
        {"count(*)": 200}
    ]
    client.close()


def ask_identity(running: BackgroundSuite, value: int) -> int:
    with triton.InferenceServerClient(running.suite.environment["MERCATO_TRITON_ADDRESS"]) as client:
        tensor = triton.InferInput("x", [1, 1], "INT64")
        tensor.set_data_from_numpy(np.array([[value]], dtype=np.int64))
        return int(client.infer("identity", [tensor], client_timeout=10).as_numpy("y")[0, 0])


def test_triton_server_comes_back(running: BackgroundSuite) -> None:
    assert ask_identity(running, 7) == 7
    before = running.suite.unit("triton")
    kill(before.pid)
    restarted(running, before)
    assert ask_identity(running, 8) == 8


def test_one_dead_model_process_of_two_is_noticed(running: BackgroundSuite) -> None:
    before = running.suite.unit("triton")
    stubs = model_processes(before.pid)
    assert len(stubs) == 2
    kill(stubs[0])
    after = restarted(running, before)
    assert len(model_processes(after.pid)) == 2
    assert [ask_identity(running, value) for value in range(8)] == list(range(8))


def model_processes(server: int | None) -> list[int]:
    """Children of the server that run its Python backend."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                program = (entry / "exe").resolve().name
            except OSError:
                continue
            if parent == str(server) and program == "triton_python_backend_stub":
                found.append(int(entry.name))
    return found
