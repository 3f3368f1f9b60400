"""Writes products to the indexes, and to memory once Milvus has them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.product import IndexedProduct, Offer
from services.retrieval.errors import BadVector, IndexNotFound, ModelMismatch
from services.retrieval.indexes import Indexes
from shared.errors.base import Unavailable

T = TypeVar("T")
C = TypeVar("C", IndexedProduct, Offer)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch."""

    written: int
    stale: int


class WriteProducts:
    """All writes to product indexes. A write that began ends even when its caller leaves."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    async def upsert(
        self, tenant: str, products: Sequence[IndexedProduct], model_release: str, index: str = ""
    ) -> Written:
        """Adds or replaces products in the index named, or in all.

        Raises IndexNotFound, ModelMismatch, BadVector, Unavailable.
        """
        return await _finished(self._upsert(tenant, products, model_release, index))

    async def update_offers(self, tenant: str, offers: Sequence[Offer]) -> int:
        """Changes price and availability in all indexes; returns products changed. Raises Unavailable."""
        return await _finished(self._update_offers(tenant, offers))

    async def delete(self, tenant: str, product_ids: Sequence[str], changes: Sequence[int] = ()) -> None:
        """Deletes products from all indexes, but those of which a later change is held.

        Not returned any more even when it fails. Raises Unavailable.
        """
        numbers = dict(zip(product_ids, changes, strict=True)) if changes else {}
        await _finished(self._delete(tenant, list(dict.fromkeys(product_ids)), numbers))

    async def _upsert(self, tenant: str, products: Sequence[IndexedProduct], model_release: str, name: str) -> Written:
        async with self._indexes.writing:
            fitting, others = await self._targets(tenant, model_release, name)
            _check_vectors(products, fitting[0].info.dimension)
            written: set[str] = set()
            for index in fitting:
                fresh = _newer(index, products)
                await self._write(index, fresh)
                written |= {item.product.product_id for item in fresh}
            for index in others:
                await self._offers(index, [_as_offer(item) for item in products])
        return Written(len(written), len(products) - len(written))

    async def _targets(self, tenant: str, model_release: str, name: str) -> tuple[list[LiveIndex], list[LiveIndex]]:
        """Indexes of the release, and those of another, which only learn of prices until they go."""
        tenants = await self._indexes.current(tenant)
        indexes = [await self._indexes.named(tenant, name)] if name else tenants.all()
        if not indexes:
            raise IndexNotFound("")
        fitting = [index for index in indexes if index.info.model_release == model_release]
        if not fitting:
            raise ModelMismatch(model_release, indexes[0].info.model_release)
        return fitting, [index for index in indexes if index not in fitting]

    async def _update_offers(self, tenant: str, offers: Sequence[Offer]) -> int:
        changed: set[str] = set()
        async with self._indexes.writing:
            for index in (await self._indexes.current(tenant)).all():
                changed |= await self._offers(index, offers)
        return len(changed)

    async def _offers(self, index: LiveIndex, offers: Sequence[Offer]) -> set[str]:
        """Changes those that Milvus holds: memory may not know yet what another replica wrote."""
        fresh = {one.product_id: one for one in _newer(index, offers)}
        if not fresh:
            return set()
        with _doubting(self._indexes):
            stored = await self._indexes.port.read(index.info, list(fresh))
            changed = [
                _with_offer(item, offer)
                for item in stored
                if (offer := fresh[item.product.product_id]).change_number > item.product.change_number
            ]
            if changed:
                await self._indexes.port.upsert(index.info, changed)
        known = {item.product.product_id: index.table.row(item.product.product_id) is not None for item in changed}
        index.table.put_offers([fresh[one] for one, is_known in known.items() if is_known])
        index.table.put([item for item in changed if not known[item.product.product_id]])
        return set(known)

    async def _write(self, index: LiveIndex, products: Sequence[IndexedProduct]) -> None:
        if not products:
            return
        with _doubting(self._indexes):
            await self._indexes.port.upsert(index.info, products)
        index.table.put(products)

    async def _delete(self, tenant: str, product_ids: Sequence[str], numbers: Mapping[str, int]) -> None:
        async with self._indexes.writing:
            for index in (await self._indexes.of(tenant)).all():
                _forget(index, product_ids, numbers)
            for index in (await self._indexes.current(tenant)).all():
                if ids := _forget(index, product_ids, numbers):
                    with _doubting(self._indexes):
                        await self._indexes.port.delete(index.info, ids)


class _doubting:  # noqa: N801 - reads as a statement
    """A write that failed may have been done in part: what Milvus holds is looked at again."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Unavailable):
            self._indexes.doubt()


def _newer(index: LiveIndex, items: Iterable[C]) -> list[C]:
    """Items with a change number above the one held; of several for one product, the newest."""
    newest: dict[str, C] = {}
    for item in items:
        facts = item.product if isinstance(item, IndexedProduct) else item
        held = index.change_number(facts.product_id)
        if held is not None and held >= facts.change_number:
            continue
        before = newest.get(facts.product_id)
        if before is None or _change(before) < facts.change_number:
            newest[facts.product_id] = item
    return list(newest.values())


def _forget(index: LiveIndex, product_ids: Iterable[str], numbers: Mapping[str, int]) -> list[str]:
    """Takes products out of memory; returns those of which no later change is held."""
    ids = [one for one in product_ids if not _held_later(index, one, numbers)]
    index.note_deletes({one: numbers[one] for one in ids if one in numbers})
    index.table.remove(ids)
    return ids


def _held_later(index: LiveIndex, product_id: str, numbers: Mapping[str, int]) -> bool:
    held = index.table.change_number(product_id)
    return held is not None and product_id in numbers and held > numbers[product_id]


def _change(item: IndexedProduct | Offer) -> int:
    return item.product.change_number if isinstance(item, IndexedProduct) else item.change_number


def _as_offer(item: IndexedProduct) -> Offer:
    product = item.product
    return Offer(product.product_id, product.price_micros, product.available, product.change_number)


def _with_offer(item: IndexedProduct, offer: Offer) -> IndexedProduct:
    product = replace(
        item.product, price_micros=offer.price_micros, available=offer.available, change_number=offer.change_number
    )
    return replace(item, product=product)


def _check_vectors(products: Sequence[IndexedProduct], dimension: int) -> None:
    for position, item in enumerate(products):
        field = f"products[{position}].vector"
        if item.vector is None or len(item.vector) != dimension:
            size = 0 if item.vector is None else len(item.vector)
            raise BadVector(field, f"must have {dimension} components, has {size}")
        if not np.isfinite(item.vector).all():
            raise BadVector(field, "must hold finite numbers")


async def _finished(work: Coroutine[Any, Any, T]) -> T:
    """Runs to the end even when the caller is cancelled: memory and Milvus must not part."""
    return await asyncio.shield(asyncio.ensure_future(work))
