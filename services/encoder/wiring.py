"""Builds the encoder. The only place that names its concrete classes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mercato.encoder.v1 import encoder_service_pb2, encoder_service_pb2_grpc

from services.encoder.adapters.memory_cache import MemoryCache
from services.encoder.adapters.releases import BehaviourLoader
from services.encoder.adapters.repository import read_model
from services.encoder.adapters.tokenizer import FileTokenizer
from services.encoder.adapters.triton import TritonTextModel
from services.encoder.behaviour import BehaviourRelease
from services.encoder.compare_products import CompareProducts
from services.encoder.encode_behaviour import EncodeBehaviour
from services.encoder.encode_products import EncodeProducts
from services.encoder.encode_texts import EncodeTexts, Limits
from services.encoder.servicer import EncoderServicer, EncoderUseCases
from services.encoder.settings import EncoderSettings
from shared.client.channel import channel_check, open_channel
from shared.release.follower import ReleaseFollower
from shared.server.parts import ServiceParts, Servicer
from shared.telemetry.metrics import CurrentName
from shared.triton.connection import TritonConnection
from shared.triton.graphs import TritonGraphs

MODEL = CurrentName("encoder_model_info", "The text model that answers.", "model")
DESCRIPTOR = encoder_service_pb2.DESCRIPTOR.services_by_name["EncoderService"]


@asynccontextmanager
async def build(settings: EncoderSettings) -> AsyncIterator[ServiceParts]:
    """Raises ModelRepositoryMissing. Triton may be down: the service says so and answers when it is back."""
    stored = await asyncio.to_thread(read_model, settings.repository)
    MODEL.set(stored.release.release_id)
    tokenizer = await asyncio.to_thread(FileTokenizer, stored.tokenizer, stored.release.max_tokens)
    async with (
        TritonConnection(settings.triton_address, settings.triton_timeout_seconds) as triton,
        open_channel(settings.trainer_address, service="trainer") as trainer,
    ):
        model = TritonTextModel(triton, stored.release, pad_id=stored.pad_id)
        cache, graphs = MemoryCache(settings.cache_bytes), TritonGraphs(triton)
        encode_texts = EncodeTexts(tokenizer, model, cache, _limits(settings))
        encode_products = EncodeProducts(encode_texts)
        loader = BehaviourLoader(graphs)
        releases: ReleaseFollower[BehaviourRelease] = ReleaseFollower(trainer, loader.load, loader.drop)
        use_cases = EncoderUseCases(
            encode_texts=encode_texts,
            encode_products=encode_products,
            compare_products=CompareProducts(encode_products),
            encode_behaviour=EncodeBehaviour(releases, graphs, cache),
            releases=releases,
        )
        add_to_server = encoder_service_pb2_grpc.add_EncoderServiceServicer_to_server
        yield ServiceParts(
            name="encoder",
            servicers=(Servicer(DESCRIPTOR, add_to_server, EncoderServicer(use_cases)),),
            dependencies={"triton": model.check, "trainer": channel_check(trainer, "trainer")},
            critical=frozenset({"triton"}),
            background=(releases.run,),
        )


def _limits(settings: EncoderSettings) -> Limits:
    return Limits(
        batch_texts=settings.batch_texts,
        batch_tokens=settings.batch_tokens,
        bulk_in_flight=settings.bulk_in_flight,
        interactive_texts=settings.interactive_texts,
    )
