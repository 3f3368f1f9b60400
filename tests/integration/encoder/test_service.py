"""The whole encoder on a real Triton."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mercato.encoder.v1 import encoder_service_pb2 as pb
from mercato.encoder.v1 import encoder_service_pb2_grpc as pb_grpc

from services.encoder.adapters.tokenizer import FileTokenizer
from services.encoder.modelrepo.manifest import (
    GRAPH_FILE,
    MODEL_NAME,
    TOKENIZER_FILE,
    ModelManifest,
    Variant,
    variant_folder,
)
from services.encoder.modelrepo.onnx_session import OnnxEncoder
from services.encoder.settings import EncoderSettings
from services.encoder.wiring import build
from shared.server.bootstrap import serve_in_process
from tests.suites.background_suite import BackgroundSuite, embedded

TITLES = [
    "organic whole milk one gallon",
    "skimmed milk",
    "greek yogurt with strawberries",
    "motor oil for diesel engines",
    "oil filter for car engines",
    "frozen pepperoni pizza",
    "red wine",
    "a",
]


def settings(address: str, repository: Path, **changes: object) -> EncoderSettings:
    values = {"MERCATO_TRITON_ADDRESS": address, "model_repository": repository, "listen": "127.0.0.1:0"}
    return EncoderSettings(**values | {"drain_seconds": 0.0, "health_interval_seconds": 0.1} | changes)


async def served(configured: EncoderSettings) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        build(configured) as parts,
        serve_in_process(parts, configured) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield channel


@pytest.fixture
async def stub(triton_address: str, model_repository: Path) -> AsyncIterator[pb_grpc.EncoderServiceStub]:
    async for channel in served(settings(triton_address, model_repository)):
        yield pb_grpc.EncoderServiceStub(channel)


async def vectors(stub: pb_grpc.EncoderServiceStub, texts: list[str], **options: object) -> np.ndarray:
    answer = await stub.EncodeTexts(pb.EncodeTextsRequest(texts=texts), **options)
    return np.stack([np.frombuffer(vector.components, "<f4") for vector in answer.vectors])


async def test_vectors_are_those_of_the_32_bit_model(stub: pb_grpc.EncoderServiceStub, model_repository: Path) -> None:
    model = model_repository / MODEL_NAME
    manifest = ModelManifest.read(model)
    reference = OnnxEncoder(variant_folder(model, Variant.FP32) / GRAPH_FILE)
    tokenizer = FileTokenizer(model / TOKENIZER_FILE, manifest.max_tokens)
    found = await vectors(stub, TITLES)
    for row, ids in zip(found, await tokenizer.token_ids(TITLES), strict=True):
        expected = reference.vectors(np.array([ids]), np.ones((1, len(ids)), np.int64))[0]
        assert float(row @ expected) > 0.98


async def test_meaning_decides(stub: pb_grpc.EncoderServiceStub) -> None:
    milk, skimmed, _, oil, filters, *_ = await vectors(stub, TITLES)
    assert milk @ skimmed > milk @ oil + 0.1
    assert oil @ filters > milk @ oil + 0.1


async def test_a_text_has_one_vector_whatever_it_came_with(triton_address: str, model_repository: Path) -> None:
    """Without a cache, alone and among others, over and over."""
    async for channel in served(settings(triton_address, model_repository, cache_bytes=0)):
        stub = pb_grpc.EncoderServiceStub(channel)
        together = await vectors(stub, TITLES * 4)
        alone = np.concatenate([await vectors(stub, [title]) for title in TITLES])
        np.testing.assert_allclose(together, np.concatenate([alone] * 4), atol=1e-6)


async def test_256_long_products(stub: pb_grpc.EncoderServiceStub) -> None:
    products = [
        pb.ProductText(
            product_id=str(number),
            title=f"{TITLES[number % 8]} {number}",
            brand="Acme",
            category_path=["Food", "Cold"],
            attribute_texts=[f"size: {number} oz"],
            description="fresh and tasty " * (number % 7),
        )
        for number in range(256)
    ]
    answer = await stub.EncodeProducts(pb.EncodeProductsRequest(products=products), timeout=60)
    rows = {vector.components for vector in answer.vectors}
    assert len(rows) == 256
    norms = [np.linalg.norm(np.frombuffer(row, "<f4")) for row in rows]
    np.testing.assert_allclose(norms, 1, atol=1e-5)


async def test_similarity_of_products(stub: pb_grpc.EncoderServiceStub) -> None:
    milk, skimmed, oil = (pb.ProductText(product_id=title, title=title) for title in (TITLES[0], TITLES[1], TITLES[3]))
    answer = await stub.CompareProducts(
        pb.CompareProductsRequest(pairs=[pb.ProductPair(first=milk, second=other) for other in (milk, skimmed, oil)])
    )
    same, near, far = answer.similarities
    assert same.cosine == pytest.approx(1, abs=1e-6)
    assert same.pearson == pytest.approx(1, abs=1e-6)
    assert near.cosine > far.cosine + 0.2
    assert near.pearson == pytest.approx(near.cosine, abs=0.01)


async def test_any_text_that_the_contract_allows(stub: pb_grpc.EncoderServiceStub) -> None:
    strange = [" ", "\n\t", "😀" * 500, "x" * 20_000, "日本語の商品", "a\u0301" * 300, "ﷺ" * 100]
    found = await vectors(stub, strange, timeout=60)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


async def until_health(channel: grpc.aio.Channel, name: str, status: int) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(60):
        async for answer in health.Watch(health_pb2.HealthCheckRequest(service=name)):
            if answer.status == status:
                return


@pytest.fixture(scope="module")
def own_triton(tmp_path_factory: pytest.TempPathFactory, model_repository: Path) -> Iterator[BackgroundSuite]:
    """One that may be killed."""
    configured = embedded(tmp_path_factory.mktemp("own"), model_repository=model_repository, model_command=())
    with BackgroundSuite(configured, {"triton"}) as running:
        yield running


async def test_triton_killed_and_back(own_triton: BackgroundSuite, model_repository: Path) -> None:
    address = own_triton.suite.environment["MERCATO_TRITON_ADDRESS"]
    serving, down = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    async for channel in served(settings(address, model_repository)):
        stub = pb_grpc.EncoderServiceStub(channel)
        before = await vectors(stub, ["whole milk"])
        first = own_triton.suite.unit("triton")
        assert first.pid
        os.kill(first.pid, signal.SIGKILL)
        await until_health(channel, "dependency:triton", down)
        # what is remembered is answered all the same
        np.testing.assert_array_equal(await vectors(stub, ["whole milk"]), before)
        await asyncio.to_thread(own_triton.restarted, "triton", first)
        await until_health(channel, "mercato.encoder.v1.EncoderService", serving)
        after = await vectors(stub, ["whole milk", "something new"], timeout=20)
        np.testing.assert_array_equal(after[:1], before)


async def test_it_starts_while_triton_is_down(model_repository: Path) -> None:
    async for channel in served(settings("127.0.0.1:1", model_repository)):
        stub = pb_grpc.EncoderServiceStub(channel)
        assert (await stub.GetModel(pb.GetModelRequest())).dimension == 384
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await vectors(stub, ["whole milk"])
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await until_health(channel, "mercato.encoder.v1.EncoderService", health_pb2.HealthCheckResponse.NOT_SERVING)
