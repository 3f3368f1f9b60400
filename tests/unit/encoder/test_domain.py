"""Composition of texts, similarity, batches, keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.encoder.domain import (
    PRODUCT_CHARACTERS,
    ProductText,
    batches,
    content_key,
    product_text,
    similarity,
)


def packed(*numbers: float) -> bytes:
    return np.array(numbers, "<f4").tobytes()


class TestProductText:
    def test_parts_stand_in_the_order_of_their_weight(self) -> None:
        product = ProductText(
            title="Sharp knife",
            brand="Acme",
            category_path=("Home", "Kitchen"),
            attribute_texts=("color: red", "length: 20 cm"),
            description="Cuts  bread\nand more.",
        )
        assert product_text(product) == (
            "Sharp knife. Acme. Kitchen. Home. color: red. length: 20 cm. Cuts bread and more."
        )

    def test_a_title_alone_is_enough(self) -> None:
        assert product_text(ProductText(title="Milk")) == "Milk"

    def test_what_was_said_is_not_said_again(self) -> None:
        product = ProductText(
            title="Acme whole MILK", brand="Acme", category_path=("Dairy", "Milk"), description="milk"
        )
        assert product_text(product) == "Acme whole MILK. Dairy"

    def test_blank_parts_leave_no_trace(self) -> None:
        assert product_text(ProductText(title="Milk", brand="  ", category_path=("",))) == "Milk"

    def test_one_long_attribute_does_not_push_out_the_next(self) -> None:
        product = ProductText(title="Milk", attribute_texts=("a" * 10_000, "fat: 3.5 %"))
        assert "fat: 3.5 %" in product_text(product)

    @given(
        st.builds(
            ProductText,
            title=st.text(min_size=1, max_size=500),
            brand=st.text(max_size=200),
            category_path=st.lists(st.text(max_size=200), max_size=8).map(tuple),
            attribute_texts=st.lists(st.text(max_size=300), max_size=20).map(tuple),
            description=st.text(max_size=3000),
        )
    )
    def test_the_text_is_bounded(self, product: ProductText) -> None:
        assert len(product_text(product)) <= PRODUCT_CHARACTERS


class TestSimilarity:
    def test_agrees_with_numpy(self) -> None:
        random = np.random.default_rng(7)
        for _ in range(20):
            u, v = random.standard_normal((2, 384)).astype("<f4")
            found = similarity(u.tobytes(), v.tobytes())
            cosine = float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
            assert found.cosine == pytest.approx(cosine, abs=1e-6)
            assert found.pearson == pytest.approx(float(np.corrcoef(u, v)[0, 1]), abs=1e-6)

    def test_opposite_vectors(self) -> None:
        found = similarity(packed(1, -1, 0), packed(-1, 1, 0))
        assert (found.cosine, found.pearson) == (-1.0, -1.0)

    def test_cosine_sees_the_common_part_and_pearson_does_not(self) -> None:
        found = similarity(packed(10, 11, 10, 11), packed(11, 10, 11, 10))
        assert found.cosine > 0.99
        assert found.pearson == pytest.approx(-1)

    def test_without_variation_nothing_correlates(self) -> None:
        assert similarity(packed(0.5, 0.5, 0.5, 0.5), packed(1, 0, 0, 0)).pearson == 0
        assert similarity(packed(0, 0), packed(1, 0)).cosine == 0

    def test_rounding_never_leaves_the_range(self) -> None:
        vector = np.random.default_rng(1).standard_normal(384).astype("<f4").tobytes()
        found = similarity(vector, vector)
        assert found.cosine == 1.0
        assert found.pearson == 1.0


class TestBatches:
    @given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 64), st.integers(16, 2000))
    def test_every_text_once_within_the_limits(self, lengths: list[int], texts: int, tokens: int) -> None:
        groups = batches(lengths, texts=texts, tokens=tokens)
        assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
        for group in groups:
            assert len(group) <= texts
            assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= tokens

    def test_short_texts_stand_with_short_ones(self) -> None:
        assert batches([50, 3, 60, 4], texts=2, tokens=1000) == [[1, 3], [0, 2]]


class TestContentKey:
    def test_names_text_and_release(self) -> None:
        keys = {content_key("a", "milk"), content_key("b", "milk"), content_key("a", "Milk"), content_key("am", "ilk")}
        assert len(keys) == 4
        assert content_key("a", "milk") == content_key("a", "milk")
        assert all(len(key) == 16 for key in keys)
