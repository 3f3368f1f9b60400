"""The file in which earlier releases kept API keys; its keys are taken over into the database."""

from __future__ import annotations

import json
from pathlib import Path

from services.gateway.access.keys import NewKey
from services.gateway.access.ports import KeyStore
from shared.errors.base import AlreadyExists
from shared.telemetry.logs import logger

_log = logger("keys")
FROM_FILE = "file"


def read_key_file(path: Path) -> list[tuple[NewKey, bytes]]:
    """Keys with the hashes of their secrets; none when there is no file."""
    try:
        records = json.loads(path.read_text() or "[]")
    except FileNotFoundError:
        return []
    return [
        (NewKey(record["tenant"], record["name"], tuple(record["scopes"]), FROM_FILE), bytes.fromhex(record["sha256"]))
        for record in records
    ]


async def adopt_key_file(path: Path, store: KeyStore) -> None:
    """Takes over what the store never had: a key that was revoked there stays revoked."""
    for key, sha256 in read_key_file(path):
        try:
            if await store.adopt(key, sha256):
                _log.info("API key taken over from the file", name=key.name)
        except AlreadyExists:
            _log.warning("API key in the file is left out: the database has another of that name", name=key.name)
