"""What every TextModel keeps. Subclasses give the fixture ``model``."""

import asyncio

import numpy as np

from services.encoder.ports import TextModel

SHORT = [101, 2530, 102]
LONG = [101, 3, 5000, 2777, 2000, 2001, 2002, 2003, 2004, 102]


class TextModelContract:
    """Run against the fake and against Triton."""

    async def test_one_unit_vector_a_text_in_order(self, model: TextModel) -> None:
        both = await model.encode([SHORT, LONG], urgent=True)
        turned = await model.encode([LONG, SHORT], urgent=True)
        assert both.shape == (2, model.release.dimension)
        assert both.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(both, turned[::-1], atol=1e-5)

    async def test_neighbours_and_padding_do_not_matter(self, model: TextModel) -> None:
        alone = await model.encode([SHORT], urgent=True)
        beside = await model.encode([LONG, SHORT, LONG], urgent=False)
        np.testing.assert_allclose(beside[1], alone[0], atol=1e-5)

    async def test_the_same_tokens_have_the_same_vector(self, model: TextModel) -> None:
        vectors = await model.encode([SHORT, SHORT], urgent=False)
        np.testing.assert_array_equal(vectors[0], vectors[1])

    async def test_other_tokens_have_another_vector(self, model: TextModel) -> None:
        vectors = await model.encode([SHORT, LONG], urgent=False)
        assert float(vectors[0] @ vectors[1]) < 0.999

    async def test_many_calls_at_once_get_their_own_answers(self, model: TextModel) -> None:
        texts = [[101, *range(2000, 2000 + length), 102] for length in range(1, 9)]
        expected = await model.encode(texts, urgent=False)
        answers = await asyncio.gather(*(model.encode([text], urgent=True) for text in texts))
        np.testing.assert_allclose(np.concatenate(answers), expected, atol=1e-5)

    async def test_the_check_passes(self, model: TextModel) -> None:
        await model.check()

    async def test_the_release_is_described(self, model: TextModel) -> None:
        assert model.release.release_id
        assert model.release.dimension > 0
        assert model.release.max_tokens > 0
