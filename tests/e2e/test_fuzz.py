"""Every public rpc is sent random messages built from its descriptor; whatever they hold, it is never a defect of ours.

`make fuzz` goes on for ten minutes with other seeds each time; the seed that failed is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.e2e.abuse import Target, full_key, guarded_suite, prepare
from tests.e2e.conftest import ROOT, Running
from tests.e2e.random_calls import Caller, fuzz
from tests.e2e.random_messages import services

SECONDS = float(os.environ.get("MERCATO_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("MERCATO_FUZZ_SEED", "20261124"))
EXAMPLES, LONG = 12, {"Train": 3}
"""How many messages an rpc is sent; fewer where each that is in order takes seconds."""
PUBLIC = sorted(path.stem for path in (ROOT / "protos/mercato/gateway/v1").glob("*_service.proto"))
METHODS = [method for service in services("mercato.gateway.v1", PUBLIC) for method in service.methods]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with guarded_suite(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


@pytest.fixture(scope="module")
def caller(guarded: Running) -> Iterator[Caller]:
    target = Target(guarded.address)
    for tenant in ("beta", "alpha"):
        target.add_key(tenant, full_key(guarded, tenant))

    async def fill() -> None:
        async with grpc.aio.insecure_channel(guarded.address) as channel:
            await prepare(channel, target)

    asyncio.run(fill())
    made = Caller(target.address, (("x-api-key", target.keys["alpha"]),))
    yield made
    made.close()


@pytest.mark.parametrize("method", METHODS, ids=[method.full_name for method in METHODS])
def test_no_request_finds_a_defect(caller: Caller, method: Any) -> None:
    fuzz(caller, method, SEED, LONG.get(method.name, EXAMPLES))


@pytest.mark.skipif(SECONDS <= 0, reason="make fuzz")
def test_no_request_finds_a_defect_for_long(caller: Caller) -> None:
    ends, number = time.monotonic() + SECONDS, random.SystemRandom().randrange(1 << 31)
    while time.monotonic() < ends:
        for method in METHODS:
            fuzz(caller, method, number, LONG.get(method.name, 25))
        number += 1
    table = sorted(caller.counts.items())
    sys.stdout.write(f"\n{sum(caller.counts.values()):,} calls\n")
    for (name, code), count in table:
        sys.stdout.write(f"{name:24} {code:20} {count:8,}\n")


def test_no_process_ended_and_no_log_names_a_defect(guarded: Running, caller: Caller) -> None:
    units = guarded.suite.suite.units()
    assert all(unit.state == "ready" for unit in units)
    for path in Path(guarded.data / "logs").glob("*.log"):
        if path.stem in ("postgres", "triton", "milvus", "envoy"):
            continue
        bad = [
            line
            for line in path.read_text(errors="replace").splitlines()
            if re.search(r'"code":"(INTERNAL|UNKNOWN)"', line)
        ]
        assert not bad, bad[:3]
