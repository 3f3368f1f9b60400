"""Search by words among the products that the gateway remembers, when retrieval is away.

Only what was shown lately is found; it is far from the index, and better than nothing.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping

from mercato.gateway.v1 import product_pb2, recommendation_pb2

from services.gateway.answers import Ranked
from services.gateway.hydration import Hydrator, matches
from services.gateway.ladder import popular
from services.gateway.lists import ReleaseLists

FRESH_SECONDS = 10.0
"""An index of words is used this long before it is made anew; making one of 20,000 products takes a quarter second."""
LEAST_MATCHED = 0.5
"""Share of the query's words, by their weight, that a product must hold."""
WORDS = re.compile(r"\w+")


def words_of(text: str) -> set[str]:
    """Words in small letters; a plural `s` is cut off.

    >>> sorted(words_of("Rye Breads, 2 kg"))
    ['2', 'bread', 'kg', 'rye']
    """
    found = (word.lower() for word in WORDS.findall(text))
    return {word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found}


class WordIndex:
    """Products by the words of their title, brand and categories."""

    def __init__(self, products: Iterable[product_pb2.Product]) -> None:
        self.products: dict[str, product_pb2.Product] = {}
        self._holders: dict[str, set[str]] = {}
        for product in products:
            self.products[product.product_id] = product
            for word in words_of(" ".join((product.title, product.brand, *product.category_path))):
                self._holders.setdefault(word, set()).add(product.product_id)

    def find(self, query: str) -> dict[str, float]:
        """Products that hold enough of the query, with the weight of the words that they hold (idf)."""
        count = len(self.products)
        weights = {word: math.log1p(count / (1 + len(self._holders.get(word, ())))) for word in words_of(query)}
        scores: dict[str, float] = {}
        for word, weight in weights.items():
            for product_id in self._holders.get(word, ()):
                scores[product_id] = scores.get(product_id, 0.0) + weight
        least = LEAST_MATCHED * sum(weights.values())
        return {product_id: score for product_id, score in scores.items() if score >= least}


class RememberedSearch:
    """One index a tenant, made when it is needed."""

    def __init__(self, hydrator: Hydrator, clock: Callable[[], float] = time.monotonic) -> None:
        self._hydrator = hydrator
        self._clock = clock
        self._indexes: dict[str, tuple[float, WordIndex]] = {}
        self._making: dict[str, asyncio.Task[WordIndex]] = {}

    async def find(
        self, tenant: str, query: str, filter_: product_pb2.ProductFilter, lists: ReleaseLists
    ) -> list[Ranked]:
        """Products of a query, or of the filter's categories where it is empty; the popular ones first among equals."""
        index = await self._index(tenant)
        places = {product_id: place for place, product_id in enumerate(lists.popular)}
        if query:
            scores, channel = index.find(query), recommendation_pb2.CHANNEL_KEYWORD
        else:
            scores, channel = _of_categories(index.products, filter_, lists), recommendation_pb2.CHANNEL_POPULAR
        shown = [one for one in scores if one not in index.products or matches(index.products[one], filter_)]
        ranked = sorted(shown, key=lambda one: (-scores[one], places.get(one, len(places)), one))
        return [Ranked.simple(one, channel, scores[one]) for one in ranked]

    async def _index(self, tenant: str) -> WordIndex:
        made = self._indexes.get(tenant)
        if made is not None and self._clock() - made[0] < FRESH_SECONDS:
            return made[1]
        task = self._making.get(tenant)
        if task is None:
            products = self._hydrator.remembered(tenant)
            task = self._making[tenant] = asyncio.create_task(asyncio.to_thread(WordIndex, products))
            task.add_done_callback(lambda _: self._making.pop(tenant, None))
        index = await asyncio.shield(task)
        now = self._clock()
        self._indexes = {one: made for one, made in self._indexes.items() if now - made[0] < FRESH_SECONDS}
        self._indexes[tenant] = (now, index)
        return index


def _of_categories(
    products: Mapping[str, product_pb2.Product], filter_: product_pb2.ProductFilter, lists: ReleaseLists
) -> dict[str, float]:
    """The popular ones of the categories, best first, then others that are remembered."""
    found = popular(lists, filter_.categories)
    scores = {product_id: 1.0 / (1 + place) for place, product_id in enumerate(found)}
    wanted = set(filter_.categories)
    return scores | {
        one.product_id: 0.0
        for one in products.values()
        if one.product_id not in scores and wanted & {*one.category_path}
    }
