"""``mercato.privacy.v1.PersonalDataService`` for events and what is derived from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, struct_pb2
from mercato.gateway.v1 import privacy_service_pb2
from mercato.privacy.v1 import personal_data_service_pb2 as pb
from mercato.privacy.v1 import personal_data_service_pb2_grpc as pb_grpc

from services.profile.converters.features import profile_message
from services.profile.errors import UserNotFound
from services.profile.get_profile import GetProfile
from services.profile.privacy import EraseUser
from services.profile.retention import ApplyRetention
from shared.context.request import current_tenant

STORE = "profile"
CACHE_NOTE = "features of the person may stay in the memory of another profile process for at most 10 minutes"


@dataclass(frozen=True, slots=True)
class PersonalDataUseCases:
    """What the servicer calls."""

    erase_user: EraseUser
    get_profile: GetProfile
    apply_retention: ApplyRetention


class PersonalDataServicer(pb_grpc.PersonalDataServiceServicer):
    """The profile service's own stores. Events are exported by ``ProfileService.ExportUserData``, typed."""

    def __init__(self, use_cases: PersonalDataUseCases) -> None:
        self._do = use_cases

    async def ErasePerson(self, request: pb.ErasePersonRequest, context: Any) -> pb.ErasePersonResponse:
        person = request.person
        # By visitor only where there is no user: somebody else may have logged in there since.
        ids = [(person.user_id, "")] if person.user_id else [("", one) for one in person.visitor_ids]
        events = records = 0
        for user_id, visitor_id in ids:
            receipt = await self._do.erase_user(current_tenant(), user_id, visitor_id, request.receipt_id)
            events, records = receipt.event_count, receipt.record_count
        erased = [("events", events), ("derived_records", records)]
        return pb.ErasePersonResponse(
            erased=[pb.ErasedRecords(kind=kind, row_count=count) for kind, count in erased], notes=[CACHE_NOTE]
        )

    async def ExportPerson(
        self, request: pb.ExportPersonRequest, context: Any
    ) -> AsyncIterator[pb.ExportPersonResponse]:
        person = request.person
        visitor_id = "" if person.user_id else next(iter(person.visitor_ids), "")
        try:
            profile = await self._do.get_profile(current_tenant(), person.user_id, visitor_id)
        except UserNotFound:
            return
        content = struct_pb2.Struct()
        content.update(json_format.MessageToDict(profile_message(profile)))
        yield pb.ExportPersonResponse(records=[pb.PersonalRecord(kind="derived_profile", content=content)])

    async def ApplyRetention(self, request: pb.ApplyRetentionRequest, context: Any) -> pb.ApplyRetentionResponse:
        results = await self._do.apply_retention(current_tenant(), dry_run=request.dry_run)
        return pb.ApplyRetentionResponse(
            results=[
                privacy_service_pb2.RetentionResult(store=STORE, kind=one.kind, days=one.days, row_count=one.row_count)
                for one in results
            ]
        )
