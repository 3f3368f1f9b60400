import asyncio

from shared.context.request import current_tenant
from shared.errors.base import FailedPrecondition, Unavailable
from shared.server import tenant_checks
from shared.server.tenant_checks import keep_checking


async def test_every_tenant_is_checked_in_its_own_name_and_soon_again_after_a_failure(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(tenant_checks, "SOON_SECONDS", 0.0)
    seen: list[tuple[str, str]] = []
    waiting = asyncio.Event()

    async def tenants() -> list[str]:
        if not seen:
            seen.append(("away", ""))
            raise Unavailable("postgres")
        return ["a", "b"]

    async def check(tenant: str) -> None:
        seen.append((tenant, current_tenant()))
        if tenant == "b":
            waiting.set()
            raise FailedPrecondition("of this tenant")

    task = asyncio.create_task(keep_checking(tenants, check, 3600))
    await asyncio.wait_for(waiting.wait(), 5)
    await asyncio.sleep(0)
    assert not task.done(), "an error of ours does not end it"
    task.cancel()
    await asyncio.wait([task])
    assert seen == [("away", ""), ("a", "a"), ("b", "b")]
