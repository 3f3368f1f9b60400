"""The whole suite, really running: three backing systems and eight services in processes of their own, on a small shop."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from services.supervisor.settings import SupervisorSettings
from tests.e2e.shop import Shop
from tests.suites.background_suite import BackgroundSuite

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "build" / "test-models"


@dataclass(frozen=True)
class Running:
    """A suite and where its gateway listens."""

    suite: BackgroundSuite
    address: str
    data: Path


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("suite")
    os.environ.setdefault("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'shared' / 'protogen'}")
    settings = SupervisorSettings(
        data=data,
        gateway_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        model_repository=MODELS,
        ready_seconds=240,
    )
    with BackgroundSuite(settings) as suite:
        suite.call(suite.suite.wait_ready(), 260)
        yield Running(suite, suite.suite.addresses["gateway"], data)


@pytest.fixture
async def shop(running: Running) -> AsyncIterator[Shop]:
    """A tenant of its own for each test, so that tests do not see each other's products and people."""
    async with grpc.aio.insecure_channel(running.address) as channel:
        yield Shop(channel, f"t{time.time_ns()}")
