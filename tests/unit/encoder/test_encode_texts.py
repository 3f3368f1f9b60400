"""From the cache, from work in progress, or from the model, each text once."""

import asyncio

import numpy as np
import pytest

from services.encoder.compare_products import CompareProducts
from services.encoder.domain import ProductText
from services.encoder.encode_products import EncodeProducts
from services.encoder.encode_texts import EncodeTexts, Limits
from shared.context.request import use_deadline
from shared.errors.base import Unavailable
from tests.fakes.encoder.text_model import RELEASE, FakeTextModel
from tests.fakes.encoder.tokenizer import FakeTokenizer
from tests.fakes.encoder.vector_cache import FakeVectorCache

LIMITS = Limits(batch_texts=4, batch_tokens=40, bulk_in_flight=2, interactive_texts=2)
MANY = [f"text number {number}" for number in range(20)]


@pytest.fixture
async def model() -> FakeTextModel:
    return FakeTextModel()


@pytest.fixture
def cache() -> FakeVectorCache:
    return FakeVectorCache()


@pytest.fixture
def encode(model: FakeTextModel, cache: FakeVectorCache) -> EncodeTexts:
    return EncodeTexts(FakeTokenizer(), model, cache, LIMITS)


async def until_running(model: FakeTextModel, count: int) -> None:
    async with asyncio.timeout(5):
        while model.running < count:
            await asyncio.sleep(0)


async def test_vectors_come_in_order_with_the_release(encode: EncodeTexts, model: FakeTextModel) -> None:
    encoded = await encode(["milk", "a much longer text about bread", "beer"])
    assert encoded.release == RELEASE
    ids = await FakeTokenizer().token_ids(["milk", "a much longer text about bread", "beer"])
    expected = await FakeTextModel().encode(ids, urgent=True)
    np.testing.assert_array_equal([np.frombuffer(vector, "<f4") for vector in encoded.vectors], expected)


async def test_equal_texts_of_a_request_are_encoded_once(encode: EncodeTexts, model: FakeTextModel) -> None:
    encoded = await encode(["milk", "beer", "milk", "milk"])
    assert model.texts == 2
    assert encoded.vectors[0] == encoded.vectors[2] == encoded.vectors[3] != encoded.vectors[1]


async def test_what_is_remembered_is_not_encoded_again(encode: EncodeTexts, model: FakeTextModel) -> None:
    first = await encode(["milk", "beer"])
    second = await encode(["beer", "milk", "bread"])
    assert model.texts == 3
    assert second.vectors[:2] == first.vectors[::-1]


async def test_requests_at_once_share_the_work(encode: EncodeTexts, model: FakeTextModel) -> None:
    model.gate.clear()
    waiting = [asyncio.create_task(encode(["milk", "beer"])) for _ in range(5)]
    await until_running(model, 1)
    model.gate.set()
    answers = await asyncio.gather(*waiting)
    assert model.texts == 2
    assert all(answer.vectors == answers[0].vectors for answer in answers)


async def test_batches_keep_their_limits(encode: EncodeTexts, model: FakeTextModel) -> None:
    await encode(MANY)
    assert model.texts == 20
    assert max(map(len, model.calls)) <= 4
    assert model.most_running <= 2
    assert not any(model.urgent)


async def test_a_few_texts_go_before_many(encode: EncodeTexts, model: FakeTextModel) -> None:
    model.gate.clear()
    bulk = asyncio.create_task(encode(MANY))
    await until_running(model, 2)
    single = asyncio.create_task(encode(["a query"]))
    await until_running(model, 3)
    assert model.urgent == [False, False, True]
    model.gate.set()
    await asyncio.gather(bulk, single)


async def test_a_failure_is_raised_as_it_is_and_not_remembered(
    encode: EncodeTexts, model: FakeTextModel, cache: FakeVectorCache
) -> None:
    model.error = Unavailable("triton")
    with pytest.raises(Unavailable):
        await encode(MANY)
    assert cache.vectors == {}
    model.error = None
    assert len((await encode(MANY)).vectors) == 20


async def test_a_request_given_up_stops_its_work(encode: EncodeTexts, model: FakeTextModel) -> None:
    model.gate.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await encode(MANY)
    async with asyncio.timeout(5):
        while model.running:
            await asyncio.sleep(0)
    assert model.cancelled == len(model.calls) == 2


async def test_the_deadline_of_one_does_not_end_the_work_of_another(encode: EncodeTexts, model: FakeTextModel) -> None:
    model.gate.clear()

    async def hurried() -> None:
        with use_deadline(0.05):
            async with asyncio.timeout(0.05):
                await encode(["milk"])

    first = asyncio.create_task(hurried())
    await until_running(model, 1)
    second = asyncio.create_task(encode(["milk"]))
    with pytest.raises(TimeoutError):
        await first
    model.gate.set()
    assert len((await second).vectors) == 1
    assert model.texts == 1


async def test_products_of_the_same_words_share_a_vector(encode: EncodeTexts, model: FakeTextModel) -> None:
    products = EncodeProducts(encode)
    encoded = await products(
        [ProductText("Milk", brand="Acme"), ProductText("Milk", brand="Acme"), ProductText("Beer")]
    )
    assert model.texts == 2
    assert encoded.vectors[0] == encoded.vectors[1] != encoded.vectors[2]


async def test_pairs_are_compared_in_order(encode: EncodeTexts) -> None:
    compare = CompareProducts(EncodeProducts(encode))
    milk, beer = ProductText("Milk"), ProductText("Beer")
    found, release = await compare([(milk, beer), (milk, milk), (beer, milk)])
    assert release == RELEASE
    assert found[1].cosine == found[1].pearson == 1.0
    assert found[0] == found[2]
    assert abs(found[0].cosine) < 1.0
