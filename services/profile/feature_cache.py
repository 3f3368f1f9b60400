"""Features made lately, bounded by rows; who looks one up brings the versions that it must have been made at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.profile.domain.event import SECOND_US
from services.profile.domain.features import Features
from services.profile.domain.history import Person
from services.profile.ports import Clock

_Key = tuple[str, tuple[int, ...], int]
_SWEEP_SECONDS = 60.0
_ROWS_AN_ENTRY = 20
"""What an entry without purchases weighs."""


@dataclass(frozen=True, slots=True)
class _Entry:
    versions: tuple[int, ...]
    facts_version: int
    made_us: int
    features: Features

    @property
    def rows(self) -> int:
        return _ROWS_AN_ENTRY + len(self.features.purchases.times_s) + len(self.features.recent)


class FeatureCache:
    """Least recently used first out. Correct with several replicas, because the database holds the versions."""

    def __init__(self, max_rows: int = 500_000, max_age_seconds: float = 600.0) -> None:
        self._max_rows = max_rows
        self._max_age_us = max_age_seconds * SECOND_US
        self._entries: dict[_Key, _Entry] = {}
        self._rows = 0

    def get(self, tenant: str, person: Person, most: int, now_us: int) -> Features | None:
        """The features made at exactly these versions; None when there are none."""
        key = (tenant, person.person_nos, most)
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        same = entry.versions == person.versions and entry.facts_version == person.facts_version
        # The age bounds how long an erased person stays in the memory of a replica that did not erase.
        if not same or now_us - entry.made_us > self._max_age_us:
            self._rows -= entry.rows
            return None
        self._entries[key] = entry
        return entry.features

    def put(self, tenant: str, person: Person, most: int, features: Features, made_us: int) -> None:
        """Keeps ``features``, made from rows read at the versions of ``person``."""
        key = (tenant, person.person_nos, most)
        entry = _Entry(person.versions, person.facts_version, made_us, features)
        old = self._entries.pop(key, None)
        self._rows += entry.rows - (old.rows if old else 0)
        self._entries[key] = entry
        while self._rows > self._max_rows and self._entries:
            self._rows -= self._entries.pop(next(iter(self._entries))).rows

    def forget_old(self, now_us: int) -> None:
        """Drops entries above the age limit."""
        for key, entry in list(self._entries.items()):
            if now_us - entry.made_us > self._max_age_us:
                self._rows -= entry.rows
                del self._entries[key]

    async def keep_young(self, clock: Clock) -> None:
        """Drops old entries until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.forget_old(clock())

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._rows = 0

    def __len__(self) -> int:
        return len(self._entries)
