"""The health command of the images."""

from __future__ import annotations

import asyncio

import pytest

from shared.server import probe
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts


@pytest.mark.parametrize(
    ("command", "environment", "address"),
    [
        (["python", "-m", "services.profile"], {}, "127.0.0.1:50052"),
        (["python", "-m", "services.profile"], {"MERCATO_PROFILE_LISTEN": "[::]:6000"}, "127.0.0.1:6000"),
        (["python", "-m", "services.profile"], {"MERCATO_PROFILE_LISTEN": "0.0.0.0:6000"}, "127.0.0.1:6000"),
        (["python", "-m", "services.profile"], {"MERCATO_PROFILE_LISTEN": "10.0.0.7:6000"}, "10.0.0.7:6000"),
    ],
)
def test_it_asks_the_service_that_process_1_runs(command: list[str], environment: dict[str, str], address: str) -> None:
    assert probe.address_to_ask(command, environment) == address


@pytest.mark.parametrize("command", [[], ["python", "-m", "shared.postgres", "migrate"], ["-m", "services.cli"]])
def test_a_process_that_serves_nothing_is_told_apart(command: list[str]) -> None:
    with pytest.raises(probe.NoService, match="name an address"):
        probe.address_to_ask(command, {})


async def test_a_service_whose_dependency_is_down_lives(capsys: pytest.CaptureFixture[str]) -> None:
    async def down() -> None:
        raise ConnectionError("away")

    parts = ServiceParts(
        name="catalog", servicers=(), dependencies={"postgres": down}, critical=frozenset({"postgres"})
    )
    async with serve_in_process(parts) as address:
        assert await asyncio.to_thread(probe.main, [address]) == 0
    assert await asyncio.to_thread(probe.main, [address]) == 1
    assert "no answer: UNAVAILABLE" in capsys.readouterr().err
