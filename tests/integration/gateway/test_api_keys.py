"""API keys as clients meet them, on a real database and through the real interceptors."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from mercato.gateway.v1 import api_key_pb2

from shared.errors.mapping import from_rpc_error
from tests.integration.gateway.conftest import Front, OpenFront, pairs
from tests.suites.waiting import until

Code = grpc.StatusCode
ROOT = Path(__file__).parents[3]


async def refusal(call: Awaitable[Any]) -> tuple[Code, str]:
    """Code and message of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), from_rpc_error(error.value).message


async def opens(gateway: Front, secret: str) -> bool:
    try:
        await gateway.search(x_api_key=secret)
    except grpc.aio.AioRpcError as error:
        assert error.code() in (Code.UNAUTHENTICATED, Code.UNAVAILABLE)
        return False
    return True


async def test_a_suite_without_any_key_is_open_and_the_first_key_turns_the_check_on(gateway: Front) -> None:
    assert await gateway.search() == "default"
    assert await gateway.search(mercato_tenant="shop") == "shop"
    made = await gateway.create("web", "search", mercato_tenant="shop")
    assert made.key.created_by == "open"
    assert (await refusal(gateway.search()))[0] is Code.UNAUTHENTICATED
    assert (await refusal(gateway.search(x_api_key=made.secret[:-1])))[0] is Code.UNAUTHENTICATED
    assert await gateway.search(x_api_key=made.secret) == "shop"
    assert await gateway.search(authorization=f"Bearer {made.secret}", mercato_tenant="shop") == "shop"


async def test_a_key_that_an_open_suite_does_not_know_is_refused_and_a_new_one_counts_at_once(
    front: OpenFront, postgres_database: str
) -> None:
    """Otherwise what a shop writes right after its first key was made would land with the default tenant."""
    async with front(keys_poll_seconds=600) as gateway:
        code, _ = await refusal(gateway.search(x_api_key="mk_unknown"))
        assert code is Code.UNAUTHENTICATED
        assert await gateway.search() == "default"
        await asyncio.sleep(0.1)  # looks for unknown keys are shared
        made = direct(postgres_database, "--tenant", "shop", "create", "first", "--scope", "read")
        assert await gateway.search(x_api_key=made["secret"]) == "shop"
        assert (await refusal(gateway.search()))[0] is Code.UNAUTHENTICATED


@pytest.mark.parametrize("changes", [{"require_authentication": True}, {"listen": "0.0.0.0:0"}])
async def test_a_gateway_that_others_reach_or_that_is_told_so_is_never_open(
    front: OpenFront, changes: dict[str, Any]
) -> None:
    async with front(**changes) as gateway:
        code, message = await refusal(gateway.search())
        assert code is Code.UNAUTHENTICATED
        assert "mercato key create --direct" in message


async def test_revoking_the_last_key_does_not_open_the_suite_again(gateway: Front) -> None:
    made = await gateway.create("admin", "keys", "search")
    request = api_key_pb2.RevokeApiKeyRequest(key_id=made.key.key_id)
    await gateway.operations.RevokeApiKey(request, metadata=pairs({"x_api_key": made.secret}))
    assert (await refusal(gateway.search(x_api_key=made.secret)))[0] is Code.UNAUTHENTICATED
    assert (await refusal(gateway.search()))[0] is Code.UNAUTHENTICATED


async def test_a_key_opens_its_tenant_and_its_scopes_only(gateway: Front) -> None:
    reader = (await gateway.create("reader", "read", mercato_tenant="shop")).secret
    code, message = await refusal(gateway.search(x_api_key=reader, mercato_tenant="other"))
    assert (code, message) == (Code.PERMISSION_DENIED, "the caller belongs to another tenant")
    code, message = await refusal(gateway.create("more", "read", x_api_key=reader))
    assert (code, message) == (Code.PERMISSION_DENIED, "the caller lacks the scope 'keys'")


async def test_nobody_gives_more_than_they_have(gateway: Front) -> None:
    first = await gateway.create("all", "read", "write", "operate")
    keeper = (await gateway.create("keeper", "keys", "search", x_api_key=first.secret)).secret
    assert (await gateway.create("narrow", "search", x_api_key=keeper)).key.created_by.startswith("key:k-")
    assert (await refusal(gateway.create("wide", "read", x_api_key=keeper)))[0] is Code.PERMISSION_DENIED
    rotate = api_key_pb2.RotateApiKeyRequest(key_id=first.key.key_id)
    call = gateway.operations.RotateApiKey(rotate, metadata=pairs({"x_api_key": keeper}))
    assert (await refusal(call))[0] is Code.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await gateway.create("wrong", "search", "everything", x_api_key=first.secret)
    assert [item.field for item in from_rpc_error(error.value).violations] == ["scopes[1]"]
    assert (await refusal(gateway.create("all", "read", x_api_key=first.secret)))[0] is Code.ALREADY_EXISTS


def direct(dsn: str, *arguments: str) -> Any:
    """The command of the gateway's machine."""
    environment = {**os.environ, "MERCATO_POSTGRES_DSN": dsn, "PYTHONPATH": f"{ROOT}:{ROOT / 'shared' / 'protogen'}"}
    command = [sys.executable, "-m", "services.gateway.keys", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


async def test_one_tenant_does_not_see_or_end_keys_of_another(gateway: Front, postgres_database: str) -> None:
    mine = direct(postgres_database, "--tenant", "a", "create", "admin", "--scope", "operate", "--scope", "search")
    theirs = direct(postgres_database, "--tenant", "b", "create", "admin", "--scope", "operate", "--scope", "search")
    await until(lambda: opens(gateway, theirs["secret"]))
    metadata = pairs({"x_api_key": mine["secret"]})
    for method, request in (
        (gateway.operations.RevokeApiKey, api_key_pb2.RevokeApiKeyRequest(key_id=theirs["key"]["key_id"])),
        (gateway.operations.RotateApiKey, api_key_pb2.RotateApiKeyRequest(key_id=theirs["key"]["key_id"])),
    ):
        assert (await refusal(method(request, metadata=metadata)))[0] is Code.NOT_FOUND
    listed = await gateway.operations.ListApiKeys(api_key_pb2.ListApiKeysRequest(), metadata=metadata)
    assert [key.key_id for key in listed.keys] == [mine["key"]["key_id"]]
    assert await opens(gateway, theirs["secret"])


async def test_keys_of_the_machine_count_in_every_gateway_within_moments(
    front: OpenFront, postgres_database: str
) -> None:
    async with front(require_authentication=True) as one, front(require_authentication=True) as two:
        made = direct(postgres_database, "--tenant", "shop", "create", "first", "--scope", "read")
        await until(lambda: opens(one, made["secret"]))
        await until(lambda: opens(two, made["secret"]))
        rotated = direct(
            postgres_database, "--tenant", "shop", "rotate", made["key"]["key_id"], "--overlap-seconds", "0"
        )
        await until(lambda: opens(two, rotated["secret"]))
        assert not await opens(two, made["secret"])
        direct(postgres_database, "--tenant", "shop", "revoke", made["key"]["key_id"])

        async def shut() -> bool:
            return not (await opens(one, rotated["secret"]) or await opens(two, rotated["secret"]))

        await until(shut)
        assert "not found" in direct(postgres_database, "--tenant", "shop", "rotate", made["key"]["key_id"])
        assert "not found" in direct(postgres_database, "--tenant", "other", "revoke", made["key"]["key_id"])


async def test_both_secrets_open_during_a_rotation_and_a_third_ends_the_first(gateway: Front) -> None:
    made = await gateway.create("admin", "keys", "search")
    metadata = pairs({"x_api_key": made.secret})
    request = api_key_pb2.RotateApiKeyRequest(key_id=made.key.key_id, overlap={"seconds": 600})
    second = await gateway.operations.RotateApiKey(request, metadata=metadata)
    assert second.key.secret_count == 2
    assert 590 < second.previous_secret_expire_time.seconds - second.key.create_time.seconds < 700
    assert await opens(gateway, made.secret)
    third = await gateway.operations.RotateApiKey(request, metadata=metadata)
    assert third.key.secret_count == 2
    assert not await opens(gateway, made.secret)
    assert await opens(gateway, second.secret)
    assert await opens(gateway, third.secret)


async def test_an_expired_key_is_refused_and_listed_only_on_request(gateway: Front, postgres_database: str) -> None:
    admin = pairs({"x_api_key": (await gateway.create("admin", "keys")).secret})
    made = direct(postgres_database, "create", "short", "--scope", "search", "--seconds", "600")
    await until(lambda: opens(gateway, made["secret"]))
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE gateway.api_keys SET expire_time = now() WHERE key_id = %s", [made["key"]["key_id"]])
        connection.execute("UPDATE gateway.key_changes SET number = number + 1")

    async def shut() -> bool:
        return not await opens(gateway, made["secret"])

    await until(shut)
    names = [
        [key.name for key in (await gateway.operations.ListApiKeys(request, metadata=admin)).keys]
        for request in (api_key_pb2.ListApiKeysRequest(), api_key_pb2.ListApiKeysRequest(include_ended=True))
    ]
    assert names == [["admin"], ["short", "admin"]]


async def test_keys_are_listed_in_pages_without_secrets(gateway: Front, postgres_database: str) -> None:
    first = await gateway.create("key 0", "keys")
    secrets, metadata = [first.secret], pairs({"x_api_key": first.secret})
    for number in range(1, 5):
        request = api_key_pb2.CreateApiKeyRequest(name=f"key {number}", scopes=["keys"])
        secrets.append((await gateway.operations.CreateApiKey(request, metadata=metadata)).secret)
    names: list[str] = []
    token = ""
    while True:
        page = await gateway.operations.ListApiKeys(
            api_key_pb2.ListApiKeysRequest(page_size=2, page_token=token), metadata=metadata
        )
        names += [key.name for key in page.keys]
        assert not any(secret in str(page) for secret in secrets)
        token = page.next_page_token
        if not token:
            break
    assert names == [f"key {number}" for number in (4, 3, 2, 1, 0)]
    with psycopg.connect(postgres_database) as connection:
        stored = connection.execute("SELECT encode(sha256, 'hex') FROM gateway.api_key_secrets").fetchall()
    assert {row[0] for row in stored} == {hashlib.sha256(secret.encode()).hexdigest() for secret in secrets}


async def test_use_is_written_when_the_gateway_ends_at_the_latest(front: OpenFront, postgres_database: str) -> None:
    async with front() as gateway:
        made = await gateway.create("web", "search")
        await gateway.search(x_api_key=made.secret)
    with psycopg.connect(postgres_database) as connection:
        row = connection.execute(
            "SELECT last_used_time >= create_time - interval '1 s' FROM gateway.api_keys"
        ).fetchone()
    assert row == (True,)


async def test_keys_of_the_file_of_before_are_taken_over_once(
    front: OpenFront, postgres_database: str, tmp_path: Path
) -> None:
    secret = "mk_of_before"
    record = {"name": "old", "tenant": "shop", "scopes": ["read"], "create_time_s": 1}
    (tmp_path / "keys").mkdir()
    path = tmp_path / "keys" / "api_keys.json"
    path.write_text(json.dumps([{**record, "sha256": hashlib.sha256(secret.encode()).hexdigest()}]))
    async with front() as gateway:
        assert await gateway.search(x_api_key=secret) == "shop"
    listed = direct(postgres_database, "--tenant", "shop", "list")["keys"]
    assert [(key["name"], key["created_by"]) for key in listed] == [("old", "file")]
    direct(postgres_database, "--tenant", "shop", "revoke", listed[0]["key_id"])
    async with front() as gateway:
        assert not await opens(gateway, secret), "a key that was revoked does not come back"


async def test_keys_hold_while_the_database_is_away_for_as_long_as_is_stated(
    front: OpenFront, postgres_database: str
) -> None:
    async with front(keys_outage_seconds=600) as patient, front(keys_outage_seconds=0.5) as strict:
        made = await patient.create("web", "search")

        async def known() -> bool:
            return not await opens(strict, "mk_wrong")

        await until(known)
        cut_off(postgres_database)
        try:

            async def refused() -> bool:
                try:
                    await strict.search(x_api_key=made.secret)
                except grpc.aio.AioRpcError as error:
                    return error.code() is Code.UNAVAILABLE
                return False

            await until(refused)
            assert await patient.search(x_api_key=made.secret) == "default"
            assert not await opens(patient, "mk_wrong")
        finally:
            cut_off(postgres_database, back=True)
        await until(lambda: opens(strict, made.secret))


async def test_a_gateway_that_starts_without_its_database_lets_nobody_in(
    front: OpenFront, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.access.wiring.START_SECONDS", 0.2)
    cut_off(postgres_database)
    try:
        async with front() as gateway:
            assert (await refusal(gateway.search()))[0] is Code.UNAVAILABLE
            cut_off(postgres_database, back=True)

            async def open_now() -> bool:
                try:
                    return await gateway.search() == "default"
                except grpc.aio.AioRpcError:
                    return False

            await until(open_now)
    finally:
        cut_off(postgres_database, back=True)


def cut_off(dsn: str, *, back: bool = False) -> None:
    """Closes the database to everybody and ends what is connected; ``back`` opens it again."""
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    other = psycopg.conninfo.make_conninfo(dsn, dbname="postgres")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {'true' if back else 'false'}")
        if not back:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
