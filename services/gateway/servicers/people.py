"""`mercato.gateway.v1.UserEventService` and `ProfileService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from mercato.gateway.v1 import (
    profile_service_pb2,
    profile_service_pb2_grpc,
    user_event_service_pb2_grpc,
)
from mercato.gateway.v1 import user_event_service_pb2 as pb
from mercato.profile.v1 import profile_service_pb2 as internal_pb2

from services.gateway.auditing import note_target
from services.gateway.ingest import WriteEvents
from services.gateway.privacy import Privacy
from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors

Context = grpc.aio.ServicerContext[Any, Any]

ERASURE_NOTES = ("database backups hold the data, encrypted by keys, until they expire: see docs/privacy.md",)


class UserEventServicer(user_event_service_pb2_grpc.UserEventServiceServicer):
    """Writes events; exports and erases one person."""

    def __init__(self, write_events: WriteEvents, privacy: Privacy) -> None:
        self._write_events = write_events
        self._privacy = privacy

    async def WriteUserEvents(self, request: pb.WriteUserEventsRequest, context: Context) -> pb.WriteUserEventsResponse:
        written = await self._write_events.batch(request.events)
        return pb.WriteUserEventsResponse(
            accepted_count=written.accepted,
            duplicate_count=written.duplicates,
            quarantined_count=written.quarantined,
            rejected=written.rejected,
        )

    async def WriteUserEventStream(
        self, request_iterator: AsyncIterator[pb.WriteUserEventStreamRequest], context: Context
    ) -> AsyncIterator[pb.WriteUserEventStreamResponse]:
        async for response in self._write_events.stream(request_iterator):
            yield response

    async def ExportUserData(
        self, request: pb.ExportUserDataRequest, context: Context
    ) -> AsyncIterator[pb.ExportUserDataResponse]:
        async for part in self._privacy.export(request.user_id, request.visitor_id):
            yield part

    async def EraseUserData(self, request: pb.EraseUserDataRequest, context: Context) -> pb.EraseUserDataResponse:
        erasure = await self._privacy.erase(request.user_id, request.visitor_id)
        note_target(erasure.receipt_id)
        counts = [(kind, count) for one in erasure.stores for kind, count in one.row_counts.items()]
        return pb.EraseUserDataResponse(
            receipt_id=erasure.receipt_id,
            erase_time=erasure.complete_time if erasure.HasField("complete_time") else erasure.request_time,
            erased_event_count=sum(count for kind, count in counts if kind == "events"),
            erased_record_count=sum(count for kind, count in counts if kind != "events"),
            notes=[*(note for one in erasure.stores for note in one.notes), *ERASURE_NOTES],
            erasure=erasure,
        )


class ProfileServicer(profile_service_pb2_grpc.ProfileServiceServicer):
    """Shows profiles."""

    def __init__(self, stubs: Stubs) -> None:
        self._stubs = stubs

    async def GetUserProfile(
        self, request: profile_service_pb2.GetUserProfileRequest, context: Context
    ) -> profile_service_pb2.GetUserProfileResponse:
        wanted = internal_pb2.GetUserProfileRequest(user_id=request.user_id, visitor_id=request.visitor_id)
        with remote_errors("profile"):
            found = await self._stubs.profile.GetUserProfile(wanted)
        return profile_service_pb2.GetUserProfileResponse(profile=found.profile)
