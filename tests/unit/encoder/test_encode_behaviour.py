"""People and products by a release's behaviour model."""

import numpy as np
import pytest

from services.encoder.behaviour import HOUR_S, ColdProduct
from services.encoder.encode_behaviour import EncodeBehaviour
from services.encoder.errors import NoBehaviourModel
from tests.fakes.encoder.behaviour import FakeBehaviourReleases, FakeGraphs
from tests.fakes.encoder.vector_cache import FakeVectorCache

NOW = 1_000 * HOUR_S


@pytest.fixture
def graphs() -> FakeGraphs:
    return FakeGraphs()


@pytest.fixture
def encode(graphs: FakeGraphs) -> EncodeBehaviour:
    return EncodeBehaviour(FakeBehaviourReleases(), graphs, FakeVectorCache())


async def test_the_latest_rows_of_known_products_make_the_vector(encode: EncodeBehaviour) -> None:
    rows = (["beer", "unknown", "milk"], [3, 3, 9], [NOW - HOUR_S, NOW, NOW + 1])
    found = await encode.user("shop", "r-new", rows, NOW)
    vector = np.frombuffer(found.vector, "<f4")
    assert (found.used, found.release_id) == (2, "r-new")
    assert vector[0] > vector[1] > 0.0  # the milk is more recent


async def test_the_order_of_arrival_does_not_matter_and_equal_histories_are_encoded_once(
    encode: EncodeBehaviour, graphs: FakeGraphs
) -> None:
    first = await encode.user("shop", "", (["beer", "milk"], [3, 9], [NOW - 9, NOW - 5]), NOW)
    again = await encode.user("shop", "", (["milk", "beer"], [9, 3], [NOW - 5, NOW - 9]), NOW + 60)
    assert first == again
    assert graphs.runs == ["user_encoder"]
    later = await encode.user("shop", "", (["milk", "beer"], [9, 3], [NOW - 5, NOW - 9]), NOW + HOUR_S)
    assert later.vector != first.vector


async def test_what_happened_after_the_moment_is_not_seen(encode: EncodeBehaviour) -> None:
    found = await encode.user("shop", "", (["milk"], [9], [NOW + 2 * HOUR_S]), NOW)
    assert (found.vector, found.used) == (b"", 0)


async def test_only_the_latest_200_rows_count(encode: EncodeBehaviour) -> None:
    rows = (["milk"] * 500, [9] * 500, list(range(NOW - 500, NOW)))
    assert (await encode.user("shop", "", rows, NOW)).used == 200


async def test_known_products_keep_their_vectors_and_new_ones_get_one(
    encode: EncodeBehaviour, graphs: FakeGraphs
) -> None:
    text = np.zeros(3, np.float32)
    products = [ColdProduct("new", "Food > Milk", "Acme", text), ColdProduct("beer", "", "", text)]
    vectors = await encode.products("shop", "r-new", [*products, ColdProduct("odd", "Toys", "?", text[:1])])
    assert vectors.tolist() == [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    graphs.runs.clear()
    await encode.products("shop", "r-new", products[1:])
    assert graphs.runs == []


@pytest.mark.parametrize(("release", "words"), [("r-gone", "is not loaded"), ("r-old", "has no behaviour model")])
async def test_a_release_that_cannot_answer_is_named(encode: EncodeBehaviour, release: str, words: str) -> None:
    with pytest.raises(NoBehaviourModel, match=words) as caught:
        await encode.user("shop", release, ([], [], []), NOW)
    assert caught.value.metadata == {"release_id": release}
