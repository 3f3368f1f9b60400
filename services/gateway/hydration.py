"""From ids to products as they are now. Deleted and sold-out products end here."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from mercato.catalog.v1 import catalog_service_pb2
from mercato.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from mercato.gateway.v1 import product_pb2, recommendation_pb2

from services.gateway.stages import Stages
from shared.context.request import current_tenant
from shared.telemetry.metrics import CacheMeter

LARGEST_READ = 1000
DAY_S = 86_400.0
LOOKUPS = CacheMeter("remembered_products")
"""Asked only while the catalogue is down."""


class Hydrator:
    """Reads the catalogue; remembers what it read for the time when the catalogue is down."""

    def __init__(
        self,
        catalog: CatalogServiceStub,
        remembered: int,
        seconds: float = DAY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remembers so many products for so long; that one was deleted is not forgotten by age."""
        self._catalog = catalog
        self._remembered = remembered
        self._seconds = seconds
        self._clock = clock
        self._products: OrderedDict[tuple[str, str], tuple[float, product_pb2.Product | None]] = OrderedDict()

    async def read(self, product_ids: Sequence[str], stages: Stages, seconds: float) -> dict[str, product_pb2.Product]:
        """Products that exist, by id.

        While the catalogue is down: as last seen, or the id alone; never one that is known to be deleted.
        """
        ids = list(dict.fromkeys(product_ids))[:LARGEST_READ]
        if not ids:
            return {}
        tenant = current_tenant()
        request = catalog_service_pb2.BatchGetProductsRequest(product_ids=ids, basic=True)
        response = await stages.run(
            recommendation_pb2.STAGE_CATALOG, seconds, lambda: self._catalog.BatchGetProducts(request)
        )
        if response is None:
            return self._recall(tenant, ids, stages)
        found = {product.product_id: product for product in response.products}
        for product_id in ids:
            self._remember(tenant, product_id, found.get(product_id))
        return found

    def forget(self, tenant: str, product_id: str) -> None:
        """Notes that a product was deleted."""
        self._remember(tenant, product_id, None)

    def remembered(self, tenant: str) -> list[product_pb2.Product]:
        """Products of a tenant that are known and not too old, those seen last at the end."""
        oldest = self._clock() - self._seconds
        return [
            product
            for (owner, _), (time_s, product) in self._products.items()
            if owner == tenant and product is not None and time_s >= oldest
        ]

    def _recall(self, tenant: str, ids: list[str], stages: Stages) -> dict[str, product_pb2.Product]:
        recalled: dict[str, product_pb2.Product] = {}
        now, age_s = self._clock(), None
        for product_id in ids:
            time_s, product = self._products.get((tenant, product_id), (-math.inf, product_pb2.Product()))
            if product is None:
                continue
            known = now - time_s <= self._seconds
            LOOKUPS.count(hits=known, misses=not known)
            recalled[product_id] = product if known else product_pb2.Product(product_id=product_id)
            age_s = max(age_s or 0.0, now - time_s) if known else age_s
        substitute = recommendation_pb2.SUBSTITUTE_REMEMBERED_PRODUCTS
        stages.stand_in(recommendation_pb2.STAGE_CATALOG, substitute, age_s)
        return recalled

    def _remember(self, tenant: str, product_id: str, product: product_pb2.Product | None) -> None:
        self._products[tenant, product_id] = (self._clock(), product)
        self._products.move_to_end((tenant, product_id))
        while len(self._products) > self._remembered:
            self._products.popitem(last=False)


def matches(product: product_pb2.Product, filter_: product_pb2.ProductFilter) -> bool:
    """Whether a basic product passes a filter, as far as it says; attributes are not in it and pass.

    The same rules as the index: for answers that did not come from it, and the last check on those that did.
    """
    known = bool(product.title)
    if not filter_.include_unavailable and product.availability == product_pb2.AVAILABILITY_OUT_OF_STOCK:
        return False
    if filter_.categories and known and not set(filter_.categories) & set(product.category_path):
        return False
    if filter_.brands and known and product.brand not in filter_.brands:
        return False
    if product.product_id in filter_.excluded_product_ids:
        return False
    return _price_matches(product, filter_) if known else not _restricts(filter_)


def can_check(filter_: product_pb2.ProductFilter) -> bool:
    """Whether `matches` sees all that a filter asks for: attributes are known to the index alone."""
    return not filter_.attributes


def narrowed(filter_: product_pb2.ProductFilter, category: str) -> product_pb2.ProductFilter:
    """A filter for the index that also keeps to the category on screen.

    Categories of one filter are alternatives: where both name categories, the index is asked for the one on screen, and
    `shows` looks at the others.
    """
    made = product_pb2.ProductFilter()
    made.CopyFrom(filter_)
    if category:
        made.categories[:] = [category]
    return made


def shows(product: product_pb2.Product, filter_: product_pb2.ProductFilter, category: str) -> bool:
    """Whether a product belongs on a page: it passes the filter and lies in the category on screen."""
    in_category = not category or not product.title or category in product.category_path
    return in_category and matches(product, filter_)


def _restricts(filter_: product_pb2.ProductFilter) -> bool:
    has_price = filter_.HasField("min_price") or filter_.HasField("max_price")
    return has_price or bool(filter_.categories or filter_.brands or filter_.attributes)


def _price_matches(product: product_pb2.Product, filter_: product_pb2.ProductFilter) -> bool:
    if not (filter_.HasField("min_price") or filter_.HasField("max_price")):
        return True
    if not product.HasField("price"):
        return False
    price = (product.price.units, product.price.nanos)
    if filter_.HasField("min_price") and price < (filter_.min_price.units, filter_.min_price.nanos):
        return False
    return not (filter_.HasField("max_price") and price > (filter_.max_price.units, filter_.max_price.nanos))
