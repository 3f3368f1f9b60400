"""Deletes one product."""

from __future__ import annotations

from services.catalog.errors import ProductNotFound
from services.catalog.ports import ProductRepository
from services.catalog.waker import Waker


class DeleteProduct:
    """Deletes the row; answers read products from here, so from then on none holds it."""

    def __init__(self, repository: ProductRepository, waker: Waker) -> None:
        self._repository = repository
        self._waker = waker

    async def __call__(self, tenant: str, product_id: str, *, allow_missing: bool) -> None:
        """Deletes. Raises ProductNotFound unless `allow_missing`, Unavailable."""
        deleted = await self._repository.delete(tenant, product_id)
        if not deleted and not allow_missing:
            raise ProductNotFound(product_id)
        self._waker.wake()
