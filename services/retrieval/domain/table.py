"""What is held in memory of one index: a row a product, in columns, and which rows a filter lets pass.

Rows are only added; a deleted product leaves a dead row, and a product that comes back gets a new one. So a row number
means the same product for as long as the table lives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.facet_rows import FacetRows
from services.retrieval.domain.filter import ProductFilter
from services.retrieval.domain.growing import GrowingArray
from services.retrieval.domain.interner import NameInterner, PathInterner
from services.retrieval.domain.product import IndexedProduct, Offer, Product, Vector
from services.retrieval.domain.vectors import VectorRows

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
_MASKS_KEPT = 64


class ProductTable:
    """Facts of products. Not safe for threads."""

    def __init__(self, dimension: int, vector_bytes: int) -> None:
        self.ids: list[str] = []
        self.paths, self.brands = PathInterner(), NameInterner()
        self.vectors = VectorRows(dimension, vector_bytes)
        self._rows: dict[str, int] = {}
        self._live, self._available = GrowingArray(np.bool_), GrowingArray(np.bool_)
        self._path_numbers, self._brand_numbers = GrowingArray(np.int32), GrowingArray(np.int32)
        self._prices, self._publish_times = GrowingArray(np.int64), GrowingArray(np.int64)
        self._changes = GrowingArray(np.int64)
        self._facets = FacetRows()
        self._masks: OrderedDict[ProductFilter, tuple[int, Bools]] = OrderedDict()
        self.version = 0
        """Grows with every change."""
        self.shape_version = 0
        """Grows when products come or go, or change category, brand or publish time; not with offers."""

    def __len__(self) -> int:
        """Products, dead rows not counted."""
        return len(self._rows)

    @property
    def size(self) -> int:
        """Rows, dead ones too."""
        return len(self.ids)

    @property
    def live(self) -> Bools:
        """By row: whether it is a product."""
        return self._live.values

    @property
    def path_numbers(self) -> npt.NDArray[np.int32]:
        """By row: number in `paths`."""
        return self._path_numbers.values

    @property
    def brand_numbers(self) -> npt.NDArray[np.int32]:
        """By row: number in `brands`."""
        return self._brand_numbers.values

    @property
    def prices(self) -> npt.NDArray[np.int64]:
        """By row: price in millionths, -1: unknown."""
        return self._prices.values

    @property
    def publish_times(self) -> npt.NDArray[np.int64]:
        """By row: seconds since 1970."""
        return self._publish_times.values

    def row(self, product_id: str) -> int | None:
        """A product's row."""
        return self._rows.get(product_id)

    def rows(self, product_ids: Collection[str]) -> Rows:
        """Rows of those that are known, in the order given."""
        places = self.places(product_ids)
        return places[places >= 0]

    def places(self, product_ids: Collection[str]) -> Rows:
        """The row of each; -1 for unknown ones."""
        known = self._rows
        return np.fromiter((known.get(one, -1) for one in product_ids), np.int64, len(product_ids))

    def change_number(self, product_id: str) -> int | None:
        """The change that a product was last written with."""
        row = self._rows.get(product_id)
        return None if row is None else int(self._changes.values[row])

    def product(self, row: int) -> Product:
        """A row as a product."""
        return Product(
            product_id=self.ids[row],
            category_path=self.paths.values[self.path_numbers[row]],
            brand=self.brands.values[self.brand_numbers[row]],
            price_micros=int(self.prices[row]),
            available=bool(self._available.values[row]),
            publish_time_s=int(self.publish_times[row]),
            change_number=int(self._changes.values[row]),
            facets=self._facets.get(row),
        )

    def put(self, products: Iterable[IndexedProduct]) -> None:
        """Adds or replaces products."""
        for item in products:
            row = self._rows.get(item.product.product_id)
            if row is None:
                self._add(item.product, item.vector)
            else:
                self._replace(row, item.product, item.vector)
        self.version += 1

    def put_offers(self, offers: Iterable[Offer]) -> None:
        """Changes price and availability; unknown products are passed over."""
        for offer in offers:
            row = self._rows.get(offer.product_id)
            if row is not None:
                self._prices.values[row] = offer.price_micros
                self._available.values[row] = offer.available
                self._changes.values[row] = offer.change_number
        self.version += 1

    def remove(self, product_ids: Iterable[str]) -> None:
        """Removes products; unknown ones are passed over."""
        for product_id in product_ids:
            row = self._rows.pop(product_id, None)
            if row is not None:
                self._live.values[row] = False
                self.shape_version += 1
        self.version += 1

    def mask(self, wanted: ProductFilter) -> Bools:
        """By row: whether the filter lets it pass. The caller may change the answer."""
        mask = self._conditions(wanted.conditions).copy()
        if wanted.excluded:
            mask[self.rows(wanted.excluded)] = False
        return mask

    def _conditions(self, wanted: ProductFilter) -> Bools:
        version, mask = self._masks.get(wanted, (-1, None))
        if mask is None or version != self.version:
            mask = self._evaluate(wanted)
            self._masks[wanted] = (self.version, mask)
            if len(self._masks) > _MASKS_KEPT:
                self._masks.popitem(last=False)
        self._masks.move_to_end(wanted)
        return mask

    def _evaluate(self, wanted: ProductFilter) -> Bools:
        mask = self.live.copy() if wanted.include_unavailable else self.live & self._available.values
        if wanted.categories:
            mask &= self.paths.having(wanted.categories)[self.path_numbers]
        if wanted.brands:
            mask &= self.brands.marked(wanted.brands)[self.brand_numbers]
        if wanted.low_micros is not None or wanted.high_micros is not None:
            mask &= self.prices >= max(0, wanted.low_micros or 0)
        if wanted.high_micros is not None:
            mask &= self.prices <= wanted.high_micros
        for condition in wanted.attributes:
            mask &= self._facets.matches(condition, self.size)
        return mask

    def _add(self, product: Product, vector: Vector | None) -> None:
        row = self.size
        self._rows[product.product_id] = row
        self.ids.append(product.product_id)
        self._live.append(True)
        self._available.append(product.available)
        self._path_numbers.append(self.paths.number(product.category_path))
        self._brand_numbers.append(self.brands.number(product.brand))
        self._prices.append(product.price_micros)
        self._publish_times.append(product.publish_time_s)
        self._changes.append(product.change_number)
        self._facets.put(row, product.facets)
        self.vectors.put(row, vector)
        self.shape_version += 1

    def _replace(self, row: int, product: Product, vector: Vector | None) -> None:
        path, brand = self.paths.number(product.category_path), self.brands.number(product.brand)
        shape = (path, brand, product.publish_time_s)
        if shape != (self.path_numbers[row], self.brand_numbers[row], self.publish_times[row]):
            self.shape_version += 1
        self._available.values[row] = product.available
        self._path_numbers.values[row], self._brand_numbers.values[row] = path, brand
        self._prices.values[row] = product.price_micros
        self._publish_times.values[row] = product.publish_time_s
        self._changes.values[row] = product.change_number
        self._facets.put(row, product.facets)
        self.vectors.put(row, vector)


def chosen(values: Sequence[str], rows: npt.NDArray[np.integer[Any]]) -> list[str]:
    """Values at these places."""
    places = rows.tolist()
    # Two of them at least, or the getter returns no tuple; it is twice as fast as a loop.
    return list(itemgetter(*places)(values)) if len(places) > 1 else [values[place] for place in places]
