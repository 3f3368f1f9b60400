"""Builds the retrieval service. The only place that names its concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mercato.retrieval.v1 import retrieval_service_pb2, retrieval_service_pb2_grpc

from services.retrieval.adapters.encoder import EncoderBehaviour
from services.retrieval.adapters.milvus.behaviour import MilvusBehaviour
from services.retrieval.adapters.milvus.collection import Collections
from services.retrieval.adapters.milvus.connection import MilvusConfig, MilvusConnection
from services.retrieval.adapters.milvus.passages import MilvusPassages
from services.retrieval.adapters.milvus.products import MilvusProducts
from services.retrieval.adapters.milvus.schema import IndexSettings
from services.retrieval.adapters.trainer import TrainerRecord, read_lists
from services.retrieval.cold_vectors import ColdVectors
from services.retrieval.domain.release import ReleaseLists
from services.retrieval.expected_next import ExpectedNext, ExpectedPolicy
from services.retrieval.find_candidates import CandidatePolicy, FindCandidates
from services.retrieval.indexes import Indexes, SyncPolicy
from services.retrieval.keep_behaviour import KeepBehaviour
from services.retrieval.manage_indexes import ManageIndexes
from services.retrieval.nearest import Nearest, NearestPolicy
from services.retrieval.passages import Passages
from services.retrieval.ports import BehaviourIndexes, PassageIndex, ProductIndexes, Releases
from services.retrieval.search_products import SearchPolicy, SearchProducts
from services.retrieval.servicer import RetrievalServicer, UseCases
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store_behaviour import StoreBehaviour
from services.retrieval.write_products import WriteProducts
from shared.client.channel import channel_check, open_channel
from shared.release.follower import ReleaseFollower
from shared.server.parts import ServiceParts, Servicer

DESCRIPTOR = retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"]


@dataclass(frozen=True, slots=True)
class Core:
    """The service without its outside systems."""

    indexes: Indexes
    nearest: Nearest
    use_cases: UseCases

    @property
    def servicer(self) -> Servicer:
        """What is served."""
        add_to_server = retrieval_service_pb2_grpc.add_RetrievalServiceServicer_to_server
        return Servicer(DESCRIPTOR, add_to_server, RetrievalServicer(self.use_cases))


def core(
    products: ProductIndexes,
    passages: PassageIndex,
    behaviour: BehaviourIndexes,
    releases: Releases,
    settings: RetrievalSettings,
) -> Core:
    """Joins use cases and ports."""
    sync = SyncPolicy(settings.sync_seconds, settings.refresh_seconds, settings.vector_memory_bytes)
    indexes = Indexes(products, sync)
    nearest = Nearest(
        indexes,
        NearestPolicy(
            settings.exact_scan_products,
            settings.content_cache,
            settings.content_cache_seconds,
            settings.vector_cache,
        ),
    )
    candidates = CandidatePolicy(settings.content_seconds, settings.new_days)
    expected = ExpectedPolicy(settings.exact_scan_products, settings.content_seconds, settings.vector_cache)
    search = SearchPolicy(settings.search_seconds, settings.new_days)
    use_cases = UseCases(
        write=WriteProducts(indexes),
        manage=ManageIndexes(indexes, releases),
        find=FindCandidates(indexes, releases, nearest, ExpectedNext(indexes, behaviour, expected), candidates),
        products=SearchProducts(indexes, releases, nearest, search),
        passages=Passages(passages, settings.search_seconds),
    )
    return Core(indexes, nearest, use_cases)


@asynccontextmanager
async def build(settings: RetrievalSettings) -> AsyncIterator[ServiceParts]:
    """Milvus and the trainer may be down: the service says so, and uses them when they are there."""
    config = MilvusConfig(
        uri=settings.milvus_uri,
        token=settings.milvus_token.get_secret_value(),
        seconds=settings.milvus_seconds,
        write_seconds=settings.milvus_write_seconds,
        concurrency=settings.milvus_concurrency,
        queue=settings.milvus_queue,
    )
    index = IndexSettings(settings.dense_index, settings.hnsw_m, settings.hnsw_ef_construction, settings.hnsw_ef)
    async with (
        MilvusConnection(config) as milvus,
        open_channel(settings.trainer_address, service="trainer") as trainer,
        open_channel(settings.encoder_address, service="encoder") as encoder,
    ):
        collections = Collections(milvus, index)
        releases: ReleaseFollower[ReleaseLists] = ReleaseFollower(trainer, read_lists)
        vectors = MilvusBehaviour(collections)
        service = core(MilvusProducts(collections), MilvusPassages(collections), vectors, releases, settings)
        cold = ColdVectors(service.nearest, EncoderBehaviour(encoder), vectors)
        store = StoreBehaviour(vectors, releases, TrainerRecord(trainer), settings.behaviour_memory_bytes)
        behaviour = KeepBehaviour(service.indexes, releases, cold, store, settings.behaviour_seconds)
        yield ServiceParts(
            name="retrieval",
            servicers=(service.servicer,),
            dependencies={"milvus": milvus.check, "trainer": channel_check(trainer, "trainer")},
            background=(service.indexes.run, releases.run, behaviour.run, collections.keep_flushed),
        )
