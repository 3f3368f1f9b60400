"""One person's rights over what is stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from services.profile.errors import UserNotFound
from services.profile.feature_cache import FeatureCache
from services.profile.ports import ExportPart, PrivacyStore, Receipt


class ExportUser:
    """Hands out everything stored of one person."""

    def __init__(self, store: PrivacyStore) -> None:
        self._store = store

    async def __call__(self, tenant: str, user_id: str, visitor_id: str) -> AsyncGenerator[ExportPart, None]:
        """Raises UserNotFound before the first part."""
        found = False
        async for part in self._store.export(tenant, user_id, visitor_id):
            found = True
            yield part
        if not found:
            raise UserNotFound(user_id, visitor_id)


class EraseUser:
    """Erases one person."""

    def __init__(self, store: PrivacyStore, cache: FeatureCache) -> None:
        self._store = store
        self._cache = cache

    async def __call__(self, tenant: str, user_id: str, visitor_id: str, receipt_id: str = "") -> Receipt:
        """Erasing an unknown person is no error. Counts of attempts with the same receipt id add up."""
        receipt = await self._store.erase(tenant, user_id, visitor_id, receipt_id)
        self._cache.clear()
        return receipt
