"""Small shops for tests of recommenders."""

import numpy as np

from services.trainer.domain import Categories
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent

DAY_S = 86_400


def rows_of(lines, products, users):
    """Interactions from (user, product, day) or (user, product, day, kind); rows of a user and day are one event."""
    columns = [(*line, EventKind.PURCHASE)[:4] for line in lines]
    owners, items, days, kinds = (
        (np.array(column) for column in zip(*columns, strict=True)) if columns else [np.zeros(0, int)] * 4
    )
    return Interactions.of(
        tuple(f"p{number}" for number in range(products)),
        users,
        (owners, items, kinds, (days * DAY_S).astype(np.int64), owners.astype(np.int64) * 100_000 + days),
    )


def shop(seed=0, users=30, products=15, days=120):
    """Two groups of people who keep to their half of the shop; the last product is never bought, the last user silent."""
    random = np.random.default_rng(seed)
    lines = []
    for user in range(users - 1):
        half = (products - 1) // 2
        for day in sorted(random.choice(days, 20, replace=False).tolist()):
            for product in random.choice(half, 2, replace=False).tolist():
                lines.append((user, product + half * (user % 2), day))
    return rows_of(lines, products, users)


def content_of(products, vectors=None):
    """Even and odd products are two categories and brands; vectors of random directions unless given."""
    drawn = np.random.default_rng(1).normal(size=(products, 6)) if vectors is None else np.asarray(vectors, float)
    numbers = np.arange(products, dtype=np.int32) % 2
    return ItemContent(
        categories=Categories(numbers, ("a > b", "a > c"), np.zeros(2, np.int32)),
        brands=numbers + 1,
        brand_names=("", "x", "y"),
        prices=np.ones(products, np.float32),
        publish_times_s=np.zeros(products, np.int64),
        text_vectors=(drawn / np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-9)).astype(np.float32),
    )
