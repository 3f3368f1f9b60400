"""The Triton adapter on a real Triton."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from services.encoder.adapters.repository import StoredModel, read_model
from services.encoder.adapters.tokenizer import FileTokenizer
from services.encoder.adapters.triton import TritonTextModel
from services.encoder.errors import ModelMismatch
from services.encoder.modelrepo.manifest import MODEL_NAME
from shared.errors.base import Internal, Unavailable
from shared.triton.connection import TritonConnection
from tests.contract.encoder.text_model import LONG, SHORT, TextModelContract

GIVEN_UP = 20.0


@pytest.fixture(scope="module")
def stored(model_repository: Path) -> StoredModel:
    return read_model(model_repository)


@asynccontextmanager
async def opened(address: str, stored: StoredModel) -> AsyncIterator[TritonTextModel]:
    async with TritonConnection(address, GIVEN_UP) as connection:
        yield TritonTextModel(connection, stored.release, pad_id=stored.pad_id)


class TestTritonTextModel(TextModelContract):
    @pytest.fixture
    async def model(self, triton_address: str, stored: StoredModel) -> AsyncIterator[TritonTextModel]:
        async with opened(triton_address, stored) as model:
            yield model

    async def test_neighbours_change_not_one_bit(self, model: TritonTextModel) -> None:
        """Whatever the batch, so that a cache may keep what it saw first."""
        texts = [LONG[: 2 + length] for length in range(1, 9)]
        together = await model.encode(texts, urgent=False)
        alone = np.concatenate([await model.encode([text], urgent=False) for text in texts])
        np.testing.assert_allclose(together, alone, atol=1e-6)

    async def test_a_bad_request_fails_alone(self, model: TritonTextModel, stored: StoredModel) -> None:
        """Triton hands requests over together; an id outside the vocabulary must not spoil the others."""
        expected = await model.encode([SHORT], urgent=True)
        calls = [model.encode([SHORT if at % 4 else [101, 9_999_999, 102]], urgent=True) for at in range(24)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for at, answer in enumerate(answers):
            if at % 4:
                np.testing.assert_allclose(answer, expected, atol=1e-6)
            else:
                assert isinstance(answer, Unavailable | Internal)


async def test_another_release_is_refused(triton_address: str, stored: StoredModel) -> None:
    other = replace(stored, release=replace(stored.release, release_id="another"))
    async with opened(triton_address, other) as model:
        with pytest.raises(ModelMismatch) as caught:
            await model.encode([SHORT], urgent=True)
        with pytest.raises(ModelMismatch):
            await model.check()
    assert caught.value.metadata == {"model_release": "another", "served_release": stored.release.release_id}


async def test_nobody_listens(stored: StoredModel) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with opened(f"127.0.0.1:{taken.getsockname()[1]}", stored) as model:
            with pytest.raises(Unavailable) as caught:
                await model.encode([SHORT], urgent=True)
            with pytest.raises(Unavailable):
                await model.check()
    assert caught.value.dependency == "triton"


async def test_use_before_open_says_how(stored: StoredModel) -> None:
    with pytest.raises(Internal, match="async with"):
        connection = TritonConnection("127.0.0.1:1", GIVEN_UP)
        await TritonTextModel(connection, stored.release, pad_id=stored.pad_id).encode([SHORT], urgent=True)


async def test_triton_refuses_other_types(triton_address: str) -> None:
    """The contract of the model itself: 64-bit integers only."""
    client = triton.InferenceServerClient(triton_address)
    tensors = [triton.InferInput(name, [1, 2], "INT32") for name in ("input_ids", "attention_mask")]
    for tensor in tensors:
        tensor.set_data_from_numpy(np.ones((1, 2), np.int32))
    with pytest.raises(InferenceServerException, match="INT64"):
        await client.infer(MODEL_NAME, tensors)
    await client.close()


async def test_the_tokenizer_cuts_at_the_limit(stored: StoredModel) -> None:
    tokenizer = FileTokenizer(stored.tokenizer, stored.release.max_tokens)
    short, long = await tokenizer.token_ids(["Whole milk", "word " * 3000])
    assert (short[0], short[-1], len(short)) == (101, 102, 4)
    assert len(long) == stored.release.max_tokens
    assert await tokenizer.token_ids(["whole MILK"]) == [short]
