from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
import pytest
import torch
from safetensors.numpy import load_file

from services.trainer.behaviour.artifacts import load_vocabulary
from services.trainer.behaviour.errors import BrokenModel
from services.trainer.behaviour.objectives import ObjectiveConfig, ObjectiveKind
from services.trainer.behaviour.recommender import BehaviourRecommender
from services.trainer.behaviour.users import UserEncoderConfig
from services.trainer.recommenders.interface import no_report
from tests.unit.trainer.behaviour.ring_shop import DAY_S, PRODUCTS, config, content, ring

DIMENSION = 16
SHAPES = [(1, 1), (3, 7), (2, 10)]


def trained(objective: ObjectiveKind = ObjectiveKind.NEXT, query_time: bool = True) -> BehaviourRecommender:
    users = UserEncoderConfig(dimension=DIMENSION, length=10, blocks=2, gaps=query_time, query_time=query_time)
    given = config(ObjectiveConfig(kind=objective), users=users, epochs=2)
    items = replace(given.model.items, unit_norm=not query_time)
    recommender = BehaviourRecommender(replace(given, model=replace(given.model, items=items)))
    recommender.fit(ring(), content(), no_report)
    return recommender


@pytest.fixture(
    scope="module", params=[(ObjectiveKind.NEXT, True), (ObjectiveKind.MASKED, False)], ids=["next", "masked"]
)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BehaviourRecommender, Path]:
    folder = tmp_path_factory.mktemp("model")
    recommender = trained(*request.param)
    recommender.save(folder)
    return recommender, folder


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def inputs(batch: int, length: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    ages = np.sort(generator.uniform(0, 90 * DAY_S, (batch, length)), axis=1)[:, ::-1]
    return {
        "item_vectors": generator.normal(size=(batch, length, DIMENSION)).astype(np.float32),
        "kinds": generator.choice([3, 7, 9], (batch, length)),
        "ages_s": np.ascontiguousarray(ages, np.float32),
    }


@pytest.mark.parametrize(("batch", "length"), SHAPES)
def test_onnx_gives_the_user_vectors_of_torch(
    saved: tuple[BehaviourRecommender, Path], batch: int, length: int
) -> None:
    recommender, folder = saved
    given = inputs(batch, length)
    model = recommender.fitted.model
    with torch.inference_mode():
        expected = model.users(*(torch.from_numpy(value) for value in given.values())).numpy()
    (vectors,) = session(folder / "user_encoder.onnx").run(["user_vectors"], given)
    assert vectors.shape == (batch, DIMENSION)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_left_padding_and_events_of_the_future_change_nothing(saved: tuple[BehaviourRecommender, Path]) -> None:
    _, folder = saved
    encoder = session(folder / "user_encoder.onnx")
    given = inputs(2, 6)
    (plain,) = encoder.run(None, given)
    junk = inputs(2, 4, seed=1)
    padded = {name: np.concatenate([junk[name], given[name]], axis=1) for name in given}
    padded["kinds"][:, :4] = 0
    np.testing.assert_allclose(encoder.run(None, padded)[0], plain, atol=1e-5)
    padded["kinds"][:, :4], padded["ages_s"][:, :4] = 9, -1.0
    np.testing.assert_allclose(encoder.run(None, padded)[0], plain, atol=1e-5)


def test_an_empty_sequence_has_a_finite_vector(saved: tuple[BehaviourRecommender, Path]) -> None:
    given = inputs(1, 5)
    given["kinds"][:] = 0
    assert np.isfinite(session(saved[1] / "user_encoder.onnx").run(None, given)[0]).all()


def test_the_item_encoder_gives_the_vector_of_a_product_by_its_content(
    saved: tuple[BehaviourRecommender, Path],
) -> None:
    recommender, folder = saved
    model, known = recommender.fitted.model, content()
    names = orjson.loads((folder / "vocabulary.json").read_bytes())
    leaves = [known.categories.leaves[leaf] for leaf in known.categories.leaf_indexes]
    (vectors,) = session(folder / "item_encoder.onnx").run(
        None,
        {
            "text_vectors": known.text_vectors,
            "categories": np.array([names["categories"].index(leaf) for leaf in leaves]),
            "parents": np.array([names["parents"].index("shop")] * PRODUCTS),
            "brands": np.array([names["brands"].index(known.brand_names[brand]) for brand in known.brands]),
        },
    )
    with torch.inference_mode():
        model.items.known[:] = False  # as if nobody had bought them
        expected = model.items(torch.arange(PRODUCTS)).numpy()
        model.items.known[:] = True
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_vectors_and_the_encoder_of_the_files_rank_as_the_recommender_does(
    saved: tuple[BehaviourRecommender, Path],
) -> None:
    recommender, folder = saved
    data, now_s, user = ring(), 12 * DAY_S, 3
    table = load_file(folder / "item_vectors.safetensors")["vectors"]
    own = np.flatnonzero(data.users == user)[-10:]
    given = {
        "item_vectors": table[data.products[own]][None],
        "kinds": data.kinds[own].astype(np.int64)[None],
        "ages_s": (now_s - data.times_s[own]).astype(np.float32)[None],
    }
    (vectors,) = session(folder / "user_encoder.onnx").run(None, given)
    np.testing.assert_allclose(vectors @ table.T, recommender.scores(np.array([user], np.int32), now_s), atol=1e-4)


def test_the_description_names_what_readers_need(saved: tuple[BehaviourRecommender, Path]) -> None:
    description = orjson.loads((saved[1] / "behaviour.json").read_bytes())
    assert description["dimension"] == DIMENSION
    assert description["length"] == 10
    assert description["text_dimension"] == 4
    assert description["training"]["epochs"] == 2
    assert load_vocabulary(saved[1]).product_ids == tuple(f"p{n}" for n in range(PRODUCTS))


def test_a_model_without_content_is_exported_with_the_same_inputs(tmp_path: Path) -> None:
    recommender = BehaviourRecommender(config(epochs=1))
    recommender.fit(ring(), None, no_report)
    recommender.save(tmp_path)
    assert {one.name for one in session(tmp_path / "user_encoder.onnx").get_inputs()} == {
        "item_vectors",
        "kinds",
        "ages_s",
    }
    numbers = np.zeros(2, np.int64)
    nothing = {
        "text_vectors": np.zeros((2, 0), np.float32),
        "categories": numbers,
        "parents": numbers,
        "brands": numbers,
    }
    assert (session(tmp_path / "item_encoder.onnx").run(None, nothing)[0] == np.zeros((2, DIMENSION))).all()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match="vocabulary.json"):
        BehaviourRecommender(config(), previous=tmp_path).fit(ring(), None, no_report)
