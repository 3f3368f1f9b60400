"""The command `mercato`, as a person uses it, against the running suite."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from google.protobuf import json_format

from tests.e2e.conftest import Running
from tests.e2e.shop import Shop, products, until, year_of_purchases


async def mercato(running: Running, shop: Shop, *arguments: str, cwd: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "services.cli", "--address", running.address, "--tenant", shop.tenant, *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert b"Traceback" not in out + err, (out + err).decode()
    return process.returncode or 0, out.decode(), err.decode()


async def test_every_verb(running: Running, shop: Shop, tmp_path: Path) -> None:
    lines = [json_format.MessageToJson(item, indent=None) for item in products()]
    (tmp_path / "products.jsonl").write_text("\n".join([*lines, '{"productId": "bad"}', "nonsense"]) + "\n")
    events = [json_format.MessageToJson(event, indent=None) for event in year_of_purchases()]
    (tmp_path / "events.jsonl").write_text("\n".join(events) + "\n")
    (tmp_path / "returns.md").write_text("# Returns\n\nYou can return most products within 30 days of the purchase.\n")

    async def run(*arguments: str) -> tuple[int, str, str]:
        return await mercato(running, shop, *arguments, cwd=tmp_path)

    code, _, _ = await run("import", "products", "products.jsonl")
    assert code == 2, "some were rejected"
    rejects = [json.loads(line) for line in (tmp_path / "products.jsonl.rejects.jsonl").read_text().splitlines()]
    assert sorted(reject["line"] for reject in rejects) == [21, 22]
    assert (await run("import", "events", "events.jsonl"))[0] == 0
    assert (await run("import", "documents", "returns.md"))[0] == 0
    assert (await run("train", "--kind", "tables"))[0] == 0
    await shop.indexed()

    async def served() -> bool:
        return bool((await shop.recommend("user-1")).release_id)

    await until(served)
    code, out, _ = await run("recommend", "--user", "user-1", "--json", "-n", "3")
    assert code == 0
    assert len(json.loads(out)["results"]) == 3
    for arguments in (
        ("recommend", "--user", "user-1", "--new", "--explain"),
        ("recommend", "--user", "user-1", "--objective", "revenue"),
        ("recommend", "--user", "user-1", "--objective", "0.5"),
        ("similar", "--product", "dairy-0"),
        ("search", "bread"),
        ("ask", "How many days do I have to return a product?"),
        ("profile", "--user", "user-1"),
        ("status",),
        ("release", "list"),
        ("release", "show"),
    ):
        code, out, err = await run(*arguments)
        assert code == 0, err
        assert out.strip()


async def test_mistakes_are_one_clear_line(running: Running, shop: Shop, tmp_path: Path) -> None:
    for arguments, word in (
        (("similar", "--product", "none"), "none"),
        (("profile", "--user", "nobody"), "USER_NOT_FOUND"),
        (("import", "products", "missing.jsonl"), "missing.jsonl"),
        (("search", "x" * 600), "query"),
    ):
        code, out, err = await mercato(running, shop, *arguments, cwd=tmp_path)
        assert code == 1, arguments
        assert word in out + err


async def test_an_unreachable_gateway_says_how_to_start_one(shop: Shop, running: Running, tmp_path: Path) -> None:
    code, out, err = await mercato(running, shop, "search", "milk", "--address", "127.0.0.1:1", cwd=tmp_path)
    assert code == 1
    assert "mercato up" in out + err
