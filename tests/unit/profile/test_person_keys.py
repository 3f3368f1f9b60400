"""Data keys of people in memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.profile.adapters import person_keys
from services.profile.adapters.person_keys import PersonKeys, place
from shared.privacy.key_ring import KeyRing


class Stored:
    """A connection to a database that holds a sealed key of every number."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self.asked = 0

    async def execute(self, query: object, arguments: dict[str, Any], **options: Any) -> SimpleNamespace:
        self.asked += 1
        rows = [(number, self._ring.seal(bytes(32), place("shop"))) for number in arguments["key_nos"]]

        async def fetchall() -> list[tuple[int, bytes]]:
            return rows

        return SimpleNamespace(fetchall=fetchall)


async def test_reading_the_events_of_many_people_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_keys, "_KEYS_KEPT", 10)
    ring = KeyRing(tmp_path / "personal.json")
    keys, stored = PersonKeys(ring), Stored(ring)
    for start in range(0, 100, 25):
        found = await keys.for_numbers(stored, "shop", range(start, start + 25))  # type: ignore[arg-type]
        assert set(found) == set(range(start, start + 25))
        assert len(keys._by_number) <= 10
    before = stored.asked
    await keys.for_numbers(stored, "shop", [99])  # type: ignore[arg-type]
    assert stored.asked == before, "those read last are kept"
