"""The real backing systems, started once a session from the embedded packages.

Fixtures are synchronous and run the supervisor in a thread with an event loop of its own, so that they fit tests
of every kind and scope of event loop. A server of your own can be named instead: MERCATO_TEST_POSTGRES_DSN,
MERCATO_TEST_MILVUS_URI, MERCATO_TEST_TRITON_ADDRESS.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.suites.background_suite import BackgroundSuite, embedded

PROJECT = Path(__file__).parents[2]
# Exporting the text encoder takes a minute: kept between runs, brought up to date by the command itself.
MODELS = PROJECT / "build" / "test-models"


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a PostgreSQL superuser."""
    if given := os.environ.get("MERCATO_TEST_POSTGRES_DSN"):
        yield given
        return
    with BackgroundSuite(embedded(tmp_path_factory.mktemp("postgres")), {"postgres"}) as running:
        yield running.suite.environment["MERCATO_POSTGRES_DSN"]


@pytest.fixture
def postgres_database(postgres_dsn: str) -> Iterator[str]:
    """The connection string of a fresh, empty database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield make_conninfo(postgres_dsn, dbname=name)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Milvus server for the whole session: name collections after the test."""
    if given := os.environ.get("MERCATO_TEST_MILVUS_URI"):
        yield given
        return
    with BackgroundSuite(embedded(tmp_path_factory.mktemp("milvus")), {"milvus"}) as running:
        yield running.suite.environment["MERCATO_MILVUS_URI"]


@pytest.fixture(scope="session")
def model_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model repository that the suite would serve; tests may change it."""
    MODELS.parent.mkdir(exist_ok=True)
    with (MODELS.parent / "test-models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            [sys.executable, "-m", "services.encoder.modelrepo", "--repository", str(MODELS)],
            check=True,
            cwd=PROJECT,
            timeout=600,
        )
        return shutil.copytree(MODELS, tmp_path_factory.mktemp("models") / "repository")


@pytest.fixture(scope="session")
def triton_address(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """``host:port`` of a Triton that serves ``model_repository``."""
    if given := os.environ.get("MERCATO_TEST_TRITON_ADDRESS"):
        yield given
        return
    repository: Path = request.getfixturevalue("model_repository")
    settings = embedded(tmp_path_factory.mktemp("triton"), model_repository=repository, model_command=())
    with BackgroundSuite(settings, {"triton"}) as running:
        yield running.suite.environment["MERCATO_TRITON_ADDRESS"]
