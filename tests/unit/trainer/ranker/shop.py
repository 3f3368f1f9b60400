"""A small shop with people who buy again and try new things."""

from __future__ import annotations

import numpy as np

from services.trainer.learning.categories import number_categories
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent
from services.trainer.learning.neighbours import NeighbourConfig

DAY, START = 86_400, 1_700_000_000
NEIGHBOURS = NeighbourConfig(neighbours=8, least_purchases=1, ridge=5.0)


def rows(people: int = 40, products: int = 60, days: int = 150, seed: int = 0, paid: bool = False) -> Interactions:
    """Everybody likes five products best and shops about weekly; everything is sold once on the first day.

    `paid`: every purchase costs 1.0 and a tenth more for each number of the product.
    """
    random = np.random.default_rng(seed)
    columns: list[tuple[int, int, int, int, int]] = []
    event = 0
    for product in range(products):
        columns.append((product % people, product, EventKind.PURCHASE, START + product, event))
        event += 1
    for person in range(people):
        liked = random.permutation(products)[:5]
        for day in np.cumsum(random.integers(3, 11, days // 3)):
            if day >= days:
                break
            time_s = START + int(day) * DAY + int(random.integers(1, DAY))
            basket = {*random.choice(liked, 2).tolist(), int(random.integers(products) ** 2 / products)}
            columns += [(person, product, EventKind.PURCHASE, time_s, event) for product in sorted(basket)]
            viewed = int(random.integers(products))
            columns.append(
                (person, viewed, EventKind.PRODUCT_VIEW, time_s - int(random.integers(0, 5 * DAY)), event + 1)
            )
            event += 2
    users, items, kinds, times_s, events = (np.array(column) for column in zip(*columns, strict=True))
    ids = tuple(f"p{product}" for product in range(products))
    amounts = np.where(kinds == EventKind.PURCHASE, 1_000_000 + 100_000 * items, -1) if paid else None
    return Interactions.of(ids, people, (users, items, kinds, times_s, events), amounts)  # type: ignore[arg-type]


def content(products: int = 60, dimension: int = 6, seed: int = 0) -> ItemContent:
    random = np.random.default_rng(seed)
    ids = [f"p{product}" for product in range(products)]
    paths = {name: ("Food", f"Kind {place % 4}", f"Sort {place % 8}") for place, name in enumerate(ids)}
    vectors = random.normal(size=(products, dimension))
    return ItemContent(
        categories=number_categories(ids, paths),
        brands=(np.arange(products) % 3).astype(np.int32),
        brand_names=("", "A", "B"),
        prices=random.uniform(1, 20, products).astype(np.float32),
        publish_times_s=START - random.integers(1, 200, products) * DAY,
        text_vectors=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
    )
