"""An encoder and an index in memory, with switches for failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from services.catalog.domain import StoredProduct
from services.catalog.ports import IndexedItem, IndexState, Model, ProductEncoder, ProductIndex
from shared.errors.base import FailedPrecondition, Unavailable


class FakeEncoder(ProductEncoder):
    """Vectors of four bytes; `bad` products cannot be encoded."""

    def __init__(self) -> None:
        self.release = "m1"
        self.down = False
        self.bad: set[str] = set()
        self.encoded: list[str] = []
        self.on_encode: Callable[[], Awaitable[None]] | None = None

    async def model(self) -> Model:
        if self.down:
            raise Unavailable("encoder")
        return Model(self.release, 1)

    async def encode(self, products: Sequence[StoredProduct]) -> tuple[list[bytes], str]:
        if self.down:
            raise Unavailable("encoder")
        if any(product.product_id in self.bad for product in products):
            raise FailedPrecondition("cannot encode this")
        self.encoded += [product.product_id for product in products]
        if self.on_encode is not None:
            await self.on_encode()
        return [b"\0\0\x80\x3f"] * len(products), self.release

    async def compare(
        self, product: StoredProduct, others: Sequence[StoredProduct]
    ) -> tuple[list[tuple[float, float]], str]:
        if self.down:
            raise Unavailable("encoder")
        return [(float(product == other), float(product == other)) for other in others], self.release


class FakeIndex(ProductIndex):
    """Products by index name."""

    def __init__(self) -> None:
        self.indexes: dict[str, dict[str, StoredProduct]] = {}
        self.active = ""
        self.release = ""
        self.down = False

    async def state(self) -> IndexState:
        self._check()
        count = len(self.indexes.get(self.active, {}))
        return IndexState(
            self.active, self.release, count, "".join(name for name in self.indexes if name != self.active)
        )

    async def begin(self, model: Model, *, first_only: bool = False) -> str:
        self._check()
        if first_only and self.active:
            return self.active
        name = f"i{len(self.indexes)}_{model.release}"
        self.indexes[name] = {}
        if not self.active:
            self.active, self.release = name, model.release
        return name

    async def activate(self, index: str) -> None:
        self._check()
        self.active, self.release = index, index.split("_")[1]

    async def upsert(self, items: Sequence[IndexedItem], model_release: str, index: str = "") -> None:
        self._check()
        for name in [index] if index else list(self.indexes):
            self.indexes[name].update(
                {item.product.product_id: item.product for item in items if self._newer(name, item.product)}
            )

    async def update_offers(self, products: Sequence[StoredProduct]) -> None:
        self._check()
        for index in self.indexes.values():
            index.update({product.product_id: product for product in products if product.product_id in index})

    async def delete(self, changes: Mapping[str, int]) -> None:
        self._check()
        for index in self.indexes.values():
            for product_id, number in changes.items():
                if product_id in index and index[product_id].change_number <= number:
                    del index[product_id]

    def _newer(self, name: str, product: StoredProduct) -> bool:
        held = self.indexes[name].get(product.product_id)
        return held is None or held.change_number < product.change_number

    def _check(self) -> None:
        if self.down:
            raise Unavailable("retrieval")

    @property
    def products(self) -> dict[str, StoredProduct]:
        """Products of the active index."""
        return self.indexes[self.active]
