"""Reads one person's features."""

from __future__ import annotations

from services.profile.domain.features import Features, features
from services.profile.domain.history import HistoryLimits
from services.profile.feature_cache import FeatureCache
from services.profile.get_profile import read_person
from services.profile.ports import Clock, PeopleReader
from shared.telemetry.metrics import CacheMeter

DEFAULT_PURCHASES = 2_000
LOOKUPS = CacheMeter("profile_features")


class GetFeatures:
    """Features; a cached answer is used only while the versions in the database say that it holds."""

    def __init__(self, people: PeopleReader, cache: FeatureCache, limits: HistoryLimits, clock: Clock) -> None:
        self._people = people
        self._cache = cache
        self._limits = limits
        self._clock = clock

    async def __call__(self, tenant: str, user_id: str, visitor_id: str, max_purchases: int = 0) -> Features:
        """``max_purchases`` 0 means 2,000. An unknown person has empty features."""
        most = max_purchases or DEFAULT_PURCHASES
        person = await self._people.find(tenant, user_id, visitor_id)
        if person is None:
            return Features()
        now_us = self._clock()
        cached = self._cache.get(tenant, person, most, now_us)
        LOOKUPS.count(hits=cached is not None, misses=cached is None)
        if cached is None:
            cached = await self._read(tenant, (user_id, visitor_id), most, now_us)
        return cached

    async def _read(self, tenant: str, ids: tuple[str, str], most: int, now_us: int) -> Features:
        """Makes the features from the events and keeps them."""
        limits = HistoryLimits(purchases=most, others=self._limits.others)
        found = await read_person(self._people, tenant, ids, limits)
        if found is None:
            return Features()
        person, history = found
        made = features(history, most)
        self._cache.put(tenant, person, most, made, now_us)
        return made
