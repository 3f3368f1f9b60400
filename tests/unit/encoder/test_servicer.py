"""The service through a real server, as a client sees it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from mercato.encoder.v1 import encoder_service_pb2 as pb
from mercato.encoder.v1 import encoder_service_pb2_grpc as pb_grpc

from services.encoder.compare_products import CompareProducts
from services.encoder.encode_behaviour import EncodeBehaviour
from services.encoder.encode_products import EncodeProducts
from services.encoder.encode_texts import EncodeTexts, Limits
from services.encoder.errors import ModelMismatch
from services.encoder.servicer import EncoderServicer, EncoderUseCases
from services.encoder.wiring import DESCRIPTOR
from shared.errors.base import Unavailable
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from tests.fakes.encoder.behaviour import FakeBehaviourReleases, FakeGraphs
from tests.fakes.encoder.text_model import RELEASE, FakeTextModel
from tests.fakes.encoder.tokenizer import FakeTokenizer
from tests.fakes.encoder.vector_cache import FakeVectorCache

MILK = pb.ProductText(product_id="p-1", title="Milk")


@dataclass
class Running:
    stub: pb_grpc.EncoderServiceStub
    model: FakeTextModel


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    model = FakeTextModel()
    texts = EncodeTexts(FakeTokenizer(), model, FakeVectorCache(), Limits())
    products = EncodeProducts(texts)
    releases, cache = FakeBehaviourReleases(), FakeVectorCache()
    behaviour = EncodeBehaviour(releases, FakeGraphs(), cache)
    servicer = EncoderServicer(EncoderUseCases(texts, products, CompareProducts(products), behaviour, releases))
    add = pb_grpc.add_EncoderServiceServicer_to_server
    parts = ServiceParts(name="encoder", servicers=(Servicer(DESCRIPTOR, add, servicer),))
    async with serve_in_process(parts) as address, grpc.aio.insecure_channel(address) as channel:
        yield Running(pb_grpc.EncoderServiceStub(channel), model)


def details(error: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo, list[str]]:
    """Reason and paths of violated fields."""
    status = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(bad)
    return info, [violation.field for violation in bad.field_violations]


async def test_texts(running: Running) -> None:
    answer = await running.stub.EncodeTexts(pb.EncodeTextsRequest(texts=["milk", "beer", "milk"]))
    assert (answer.model_release, answer.dimension) == (RELEASE.release_id, RELEASE.dimension)
    vectors = [np.frombuffer(vector.components, "<f4") for vector in answer.vectors]
    assert [vector.shape for vector in vectors] == [(16,)] * 3
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)


async def test_products(running: Running) -> None:
    answer = await running.stub.EncodeProducts(pb.EncodeProductsRequest(products=[MILK, MILK]))
    assert len(answer.vectors) == 2
    assert (answer.model_release, answer.dimension) == (RELEASE.release_id, RELEASE.dimension)


async def test_similarity(running: Running) -> None:
    answer = await running.stub.CompareProducts(
        pb.CompareProductsRequest(pairs=[pb.ProductPair(first=MILK, second=MILK)])
    )
    assert [(one.cosine, one.pearson) for one in answer.similarities] == [(1.0, 1.0)]
    assert answer.model_release == RELEASE.release_id


async def test_the_model_describes_itself(running: Running) -> None:
    answer = await running.stub.GetModel(pb.GetModelRequest())
    assert answer == pb.GetModelResponse(
        model_release=RELEASE.release_id,
        dimension=16,
        max_tokens=12,
        model_name="fake",
        behaviour_release_id="r-new",
        release_ids=["r-new", "r-old"],
    )


BAD = [
    ("EncodeTexts", pb.EncodeTextsRequest(), ["texts"]),
    ("EncodeTexts", pb.EncodeTextsRequest(texts=["a", "", "b", ""]), ["texts[1]", "texts[3]"]),
    ("EncodeTexts", pb.EncodeTextsRequest(texts=["a"] * 257), ["texts"]),
    ("EncodeTexts", pb.EncodeTextsRequest(texts=["a" * 20_001]), ["texts[0]"]),
    ("EncodeProducts", pb.EncodeProductsRequest(), ["products"]),
    (
        "EncodeProducts",
        pb.EncodeProductsRequest(products=[MILK, pb.ProductText()]),
        ["products[1].product_id", "products[1].title"],
    ),
    ("CompareProducts", pb.CompareProductsRequest(), ["pairs"]),
    ("CompareProducts", pb.CompareProductsRequest(pairs=[pb.ProductPair(first=MILK)]), ["pairs[0].second"]),
]


@pytest.mark.parametrize(
    ("method", "request_", "fields"), BAD, ids=[f"{row[0]}-{row[2][0]}-{i}" for i, row in enumerate(BAD)]
)
async def test_bad_requests_name_every_field(
    running: Running, method: str, request_: object, fields: list[str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(running.stub, method)(request_)
    info, violated = details(caught.value)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert info.reason == "INVALID_REQUEST"
    assert violated == fields
    assert running.model.calls == []


async def test_triton_down(running: Running) -> None:
    running.model.error = Unavailable("triton")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.EncodeTexts(pb.EncodeTextsRequest(texts=["milk"]))
    info, _ = details(caught.value)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (info.reason, info.metadata["dependency"]) == ("DEPENDENCY_UNAVAILABLE", "triton")


async def test_another_release_in_triton(running: Running) -> None:
    running.model.error = ModelMismatch("ours", "theirs")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.EncodeTexts(pb.EncodeTextsRequest(texts=["milk"]))
    info, _ = details(caught.value)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert info.reason == "MODEL_MISMATCH"
    assert (info.metadata["model_release"], info.metadata["served_release"]) == ("ours", "theirs")


async def test_the_deadline_holds(running: Running) -> None:
    running.model.gate.clear()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.EncodeTexts(pb.EncodeTextsRequest(texts=["milk"]), timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    running.model.gate.set()
    assert len((await running.stub.EncodeTexts(pb.EncodeTextsRequest(texts=["milk"]))).vectors) == 1
