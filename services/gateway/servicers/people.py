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

from services.gateway.ingest import WriteEvents
from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors

Context = grpc.aio.ServicerContext[Any, Any]

ERASURE_NOTES = (
    "releases trained before hold pseudonymous counts until the next training",
    "database backups hold the data until they expire",
)
EXPORT_TIMEOUT_SECONDS = 300.0


class UserEventServicer(user_event_service_pb2_grpc.UserEventServiceServicer):
    """Writes events; exports and erases one person."""

    def __init__(self, stubs: Stubs, write_events: WriteEvents) -> None:
        self._stubs = stubs
        self._write_events = write_events

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
        wanted = internal_pb2.ExportUserDataRequest(user_id=request.user_id, visitor_id=request.visitor_id)
        with remote_errors("profile"):
            async for part in self._stubs.profile.ExportUserData(wanted, timeout=EXPORT_TIMEOUT_SECONDS):
                yield pb.ExportUserDataResponse(events=part.events, visitor_ids=part.visitor_ids)

    async def EraseUserData(self, request: pb.EraseUserDataRequest, context: Context) -> pb.EraseUserDataResponse:
        wanted = internal_pb2.EraseUserDataRequest(user_id=request.user_id, visitor_id=request.visitor_id)
        with remote_errors("profile"):
            receipt = await self._stubs.profile.EraseUserData(wanted, timeout=60)
        return pb.EraseUserDataResponse(
            receipt_id=receipt.receipt_id,
            erase_time=receipt.erase_time,
            erased_event_count=receipt.erased_event_count,
            erased_record_count=receipt.erased_record_count,
            notes=ERASURE_NOTES,
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
