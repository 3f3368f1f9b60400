"""Products nobody has bought are ordered by what was learnt of products that were made new."""

import numpy as np
import pytest

from services.trainer.recommenders.cold_start import ColdStart, ColdStartConfig
from services.trainer.recommenders.content_based import ContentBased, ContentBasedConfig
from services.trainer.recommenders.content_knn import ContentKnn, ContentKnnConfig
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.interface import no_report
from tests.unit.trainer.recommenders.shops import DAY_S, content_of, rows_of

TASTES, PRODUCTS, NEW = 6, 60, 12
"""Product p is of taste p % TASTES; the last ones were never bought."""


class Noise:
    """Scores that say nothing."""

    name = "noise"

    def fit(self, rows, content, report):
        self.products = len(rows.product_ids)

    def scores(self, users, now_s):
        return np.stack([np.random.default_rng(user + 7).random(self.products) for user in users]).astype(np.float32)


@pytest.fixture
def shop():
    random, lines = np.random.default_rng(3), []
    for user in range(80):
        liked = [p for p in range(PRODUCTS - NEW) if p % TASTES in (user % TASTES, (user + 2) % TASTES)]
        lines += [(user, int(p), int(day)) for day in random.choice(120, 15, False) for p in random.choice(liked, 2)]
    tastes = np.eye(TASTES)[np.arange(PRODUCTS) % TASTES]
    return rows_of(lines, PRODUCTS, 80), content_of(PRODUCTS, tastes + 0.1 * random.normal(size=tastes.shape))


def liked_share(model, rows):
    """Of the first three among the new products, those of the user's two tastes."""
    scores = model.scores(np.arange(80, dtype=np.int32), rows.end_time_s + DAY_S)[:, -NEW:]
    first = np.argsort(-scores, axis=1, kind="stable")[:, :3] + PRODUCTS - NEW
    tastes = np.stack([np.arange(80) % TASTES, (np.arange(80) + 2) % TASTES], axis=1)
    return (first[:, :, None] % TASTES == tastes[:, None, :]).any(2).mean()


def test_a_neighbour_of_any_product_of_the_user_is_found(shop):
    model = ContentKnn(ContentKnnConfig())
    model.fit(*shop, no_report)
    assert liked_share(model, shop[0]) == 1.0


def test_the_mix_follows_the_part_that_tells_and_not_the_noise(shop):
    parts = [Noise(), ContentBased(ContentBasedConfig()), ContentKnn(ContentKnnConfig())]
    model = ColdStart("cold", parts, ColdStartConfig())
    model.fit(*shop, no_report)
    assert liked_share(model, shop[0]) > 0.95


def test_a_shop_too_young_to_teach_weighs_all_parts_alike():
    rows = rows_of([(0, 0, 1), (0, 1, 1), (1, 1, 2)], 3, 2)
    model = ColdStart("cold", [ContentBased(ContentBasedConfig()), ContentKnn(ContentKnnConfig())], ColdStartConfig())
    model.fit(rows, content_of(3, [[1, 0], [0, 1], [0.9, 0.1]]), no_report)
    first, second = model.scores(np.array([0, 1], np.int32), 5 * DAY_S)
    assert np.isfinite(first).all()
    assert second[1] > second[2]


def test_products_without_texts_are_refused(shop):
    with pytest.raises(InsufficientData, match="no text vectors"):
        ContentKnn(ContentKnnConfig()).fit(shop[0], None, no_report)
