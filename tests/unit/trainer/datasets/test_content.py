from __future__ import annotations

import numpy as np
import pytest

from services.trainer.datasets.content import CatalogRow, item_content


def test_content_stands_in_the_order_of_the_products() -> None:
    rows = {
        "b": CatalogRow(category_path=("Food", "Milk"), brand="Farm", price=1.5, publish_time_s=7),
        "c": CatalogRow(category_path=("Food", "Milk"), brand="Acme"),
    }
    content = item_content(("a", "b", "c"), rows, np.array([[0, 0], [3, 4], [0, 2]], np.float32))
    assert content.brand_names == ("", "Acme", "Farm")
    assert content.brands.tolist() == [0, 2, 1]
    assert [content.categories.leaves[leaf] for leaf in content.categories.leaf_indexes] == [
        "",
        "Food > Milk",
        "Food > Milk",
    ]
    assert content.prices.tolist() == [0.0, 1.5, 0.0]
    assert content.publish_times_s.tolist() == [0, 7, 0]
    assert content.text_vectors.tolist() == [[0.0, 0.0], [pytest.approx(0.6), pytest.approx(0.8)], [0.0, 1.0]]
    assert item_content(("a",), rows).text_vectors.shape == (1, 0)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [(np.ones((2, 4), np.float32), r"shape \(2, 4\)"), (np.full((1, 2), np.nan, np.float32), "not finite")],
)
def test_text_vectors_that_do_not_fit_are_refused(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        item_content(("a",), {}, vectors)
