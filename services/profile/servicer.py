"""``mercato.profile.v1.ProfileService``: messages in, use case, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from mercato.profile.v1 import profile_service_pb2 as pb
from mercato.profile.v1 import profile_service_pb2_grpc

from services.profile.converters.events import item_error, read_events
from services.profile.converters.features import features_message, profile_message
from services.profile.converters.privacy import chunk_message, event_query, export_message, receipt_message
from services.profile.get_features import GetFeatures
from services.profile.get_profile import GetProfile
from services.profile.ports import EventStore, EventStream
from services.profile.privacy import EraseUser, ExportUser
from services.profile.write_events import WriteEvents
from shared.context.request import current_tenant


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the service can do."""

    write_events: WriteEvents
    get_profile: GetProfile
    get_features: GetFeatures
    export_user: ExportUser
    erase_user: EraseUser
    event_stream: EventStream
    event_store: EventStore


class ProfileServicer(profile_service_pb2_grpc.ProfileServiceServicer):
    """Errors are raised as domain errors; an interceptor maps them."""

    def __init__(self, use_cases: UseCases) -> None:
        self._do = use_cases

    async def WriteUserEvents(self, request: pb.WriteUserEventsRequest, context: Any) -> pb.WriteUserEventsResponse:
        events, rejected = await read_events(request.events)
        written, late = await self._do.write_events(current_tenant(), events)
        return pb.WriteUserEventsResponse(
            accepted_count=written.accepted,
            duplicate_count=written.duplicates,
            quarantined_count=written.quarantined,
            rejected=map(item_error, sorted([*rejected, *late], key=lambda rejection: rejection.index)),
        )

    async def GetUserProfile(self, request: pb.GetUserProfileRequest, context: Any) -> pb.GetUserProfileResponse:
        profile = await self._do.get_profile(current_tenant(), request.user_id, request.visitor_id)
        return pb.GetUserProfileResponse(profile=profile_message(profile))

    async def GetProfileFeatures(
        self, request: pb.GetProfileFeaturesRequest, context: Any
    ) -> pb.GetProfileFeaturesResponse:
        features = await self._do.get_features(
            current_tenant(), request.user_id, request.visitor_id, request.max_purchases
        )
        return pb.GetProfileFeaturesResponse(features=features_message(features))

    async def ExportUserData(
        self, request: pb.ExportUserDataRequest, context: Any
    ) -> AsyncIterator[pb.ExportUserDataResponse]:
        async with aclosing(self._do.export_user(current_tenant(), request.user_id, request.visitor_id)) as parts:
            async for part in parts:
                yield export_message(part)

    async def EraseUserData(self, request: pb.EraseUserDataRequest, context: Any) -> pb.EraseUserDataResponse:
        receipt = await self._do.erase_user(current_tenant(), request.user_id, request.visitor_id)
        return receipt_message(receipt)

    async def ReadEvents(self, request: pb.ReadEventsRequest, context: Any) -> AsyncIterator[pb.ReadEventsResponse]:
        async with aclosing(self._do.event_stream.read(current_tenant(), event_query(request))) as chunks:
            first = True
            async for chunk in chunks:
                yield chunk_message(chunk, first=first)
                first = False

    async def GetEventState(self, request: pb.GetEventStateRequest, context: Any) -> pb.GetEventStateResponse:
        state = await self._do.event_store.state(current_tenant())
        return pb.GetEventStateResponse(
            event_count=state.events, quarantined_count=state.quarantined, user_count=state.people
        )
