"""A scheduled training in a process of its own, beside the trainer that serves."""

from __future__ import annotations

import asyncio
import os
import sys

from mercato.gateway.v1 import operations_service_pb2 as operations

from tests.e2e.conftest import Running
from tests.e2e.shop import Shop, products, purchase, until


async def train_once(running: Running, *arguments: str) -> tuple[int, str]:
    job = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.trainer.once",
        *arguments,
        env={**os.environ, **running.suite.suite.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(job.communicate(), 120)
    return job.returncode or 0, output.decode()


async def test_its_release_serves_without_a_word_to_the_trainer(running: Running, shop: Shop) -> None:
    await shop.import_products(products())
    ids = [item.product_id for item in products()]
    await shop.write([purchase(f"e-{n}", f"user-{n % 7}", [ids[n % 5], ids[n % 3]], n) for n in range(60)])
    status, told = await train_once(running, "--kind", "tables", "--tenant", shop.tenant)
    assert status == 0, told

    async def current() -> str:
        found = await shop.call(shop.operations.ListReleases, operations.ListReleasesRequest())
        return next((one.release_id for one in found.releases if one.current), "")

    assert await current() in told

    async def served() -> bool:
        return (await shop.recommend("user-1", page_size=3)).release_id == await current()

    await until(served)


async def test_a_shop_without_purchases_is_no_failure_and_a_strange_tenant_is(running: Running, shop: Shop) -> None:
    status, told = await train_once(running, "--tenant", shop.tenant)
    assert (status, "nothing to learn from" in told) == (0, True), told
    status, told = await train_once(running, "--tenant", "../x")
    assert status == 2
    assert "not a tenant id: '../x'" in told
    assert "Traceback" not in told
