"""Builds the gateway. The only place that puts its parts together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mercato.gateway.v1 import (
    experiment_service_pb2,
    experiment_service_pb2_grpc,
    operations_service_pb2,
    operations_service_pb2_grpc,
    privacy_service_pb2,
    privacy_service_pb2_grpc,
    product_service_pb2,
    product_service_pb2_grpc,
    profile_service_pb2,
    profile_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    support_service_pb2,
    support_service_pb2_grpc,
    user_event_service_pb2,
    user_event_service_pb2_grpc,
)

from services.gateway.access.wiring import open_access
from services.gateway.answers import Answerer
from services.gateway.attribution import load_key
from services.gateway.experiments import Experiments
from services.gateway.hydration import Hydrator
from services.gateway.ingest import WriteEvents
from services.gateway.limits.wiring import open_limits
from services.gateway.lists import ReleaseLists, read_lists
from services.gateway.pipeline import Pipeline
from services.gateway.privacy import Privacy
from services.gateway.profiles import Profiles, Remembering
from services.gateway.recommend import Recommend
from services.gateway.releases import ReleaseChooser
from services.gateway.search import Search
from services.gateway.servicers.access import AccessUseCases
from services.gateway.servicers.answers import RecommendationServicer, SearchServicer
from services.gateway.servicers.experiments import ExperimentServicer
from services.gateway.servicers.operations import OperationsServicer
from services.gateway.servicers.people import ProfileServicer, UserEventServicer
from services.gateway.servicers.privacy import PrivacyServicer
from services.gateway.servicers.products import ProductServicer
from services.gateway.servicers.support import SupportServicer
from services.gateway.settings import GatewaySettings
from services.gateway.similar import SimilarProducts
from services.gateway.status import Status
from services.gateway.stubs import SERVICES, Stubs, open_stubs
from shared.attribution.token import TokenSigner
from shared.client.channel import channel_check
from shared.release.follower import ReleaseFollower
from shared.server.parts import ServiceParts, Servicer

MIB = 1 << 20


@asynccontextmanager
async def build(settings: GatewaySettings) -> AsyncIterator[ServiceParts]:
    """Opens channels to all services and yields what is served."""
    addresses = {name: str(getattr(settings, f"{name}_address")) for name in SERVICES}
    async with open_access(settings) as access, open_limits(settings) as limits, open_stubs(addresses) as stubs:
        lists: ReleaseFollower[ReleaseLists] = ReleaseFollower(stubs.channels["trainer"], read_lists)
        releases = ReleaseChooser(stubs, lists)
        experiments = Experiments(stubs.channels["trainer"], releases.is_held)
        profiles = Profiles(stubs.profile, _remembering(settings))
        privacy = Privacy(stubs, profiles.forget)
        signer = TokenSigner(load_key(settings.token_key, settings.data))
        hydrator = Hydrator(stubs.catalog, settings.remembered_products, settings.remembered_products_seconds)
        pipeline = Pipeline(stubs, hydrator, profiles, releases, experiments, Answerer(signer))
        yield ServiceParts(
            name="gateway",
            servicers=(*_servicers(settings, pipeline, access.use_cases), *_people(stubs, privacy, signer)),
            dependencies={**access.checks, **{name: channel_check(stubs.channels[name], name) for name in SERVICES}},
            critical=frozenset({"keys"}),
            background=(lists.run, releases.run, experiments.run, privacy.run, *access.background, *limits.background),
            extra_interceptors=(*access.interceptors, *limits.interceptors),
        )


def _remembering(settings: GatewaySettings) -> Remembering:
    return Remembering(settings.remembered_profiles_seconds, round(settings.remembered_profiles_mib * MIB))


def _servicers(settings: GatewaySettings, pipeline: Pipeline, access: AccessUseCases) -> tuple[Servicer, ...]:
    stubs = pipeline.stubs
    recommend = Recommend(pipeline, settings.recommend_seconds)
    similar = SimilarProducts(pipeline, settings.search_seconds)
    search = Search(pipeline, settings.search_seconds)
    return (
        Servicer(
            product_service_pb2.DESCRIPTOR.services_by_name["ProductService"],
            product_service_pb2_grpc.add_ProductServiceServicer_to_server,
            ProductServicer(stubs, pipeline.hydrator),
        ),
        Servicer(
            recommendation_service_pb2.DESCRIPTOR.services_by_name["RecommendationService"],
            recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server,
            RecommendationServicer(recommend, similar, stubs.catalog),
        ),
        Servicer(
            search_service_pb2.DESCRIPTOR.services_by_name["SearchService"],
            search_service_pb2_grpc.add_SearchServiceServicer_to_server,
            SearchServicer(search),
        ),
        Servicer(
            support_service_pb2.DESCRIPTOR.services_by_name["SupportService"],
            support_service_pb2_grpc.add_SupportServiceServicer_to_server,
            SupportServicer(stubs),
        ),
        Servicer(
            profile_service_pb2.DESCRIPTOR.services_by_name["ProfileService"],
            profile_service_pb2_grpc.add_ProfileServiceServicer_to_server,
            ProfileServicer(stubs),
        ),
        Servicer(
            operations_service_pb2.DESCRIPTOR.services_by_name["OperationsService"],
            operations_service_pb2_grpc.add_OperationsServiceServicer_to_server,
            OperationsServicer(stubs, Status(stubs), access),
        ),
        Servicer(
            experiment_service_pb2.DESCRIPTOR.services_by_name["ExperimentService"],
            experiment_service_pb2_grpc.add_ExperimentServiceServicer_to_server,
            ExperimentServicer(stubs.channels["trainer"]),
        ),
    )


def _people(stubs: Stubs, privacy: Privacy, signer: TokenSigner) -> tuple[Servicer, ...]:
    return (
        Servicer(
            user_event_service_pb2.DESCRIPTOR.services_by_name["UserEventService"],
            user_event_service_pb2_grpc.add_UserEventServiceServicer_to_server,
            UserEventServicer(WriteEvents(stubs, signer), privacy),
        ),
        Servicer(
            privacy_service_pb2.DESCRIPTOR.services_by_name["PrivacyService"],
            privacy_service_pb2_grpc.add_PrivacyServiceServicer_to_server,
            PrivacyServicer(privacy),
        ),
    )
