"""``mercato.privacy.v1.ErasureRegisterService``."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from mercato.privacy.v1 import erasure_register_service_pb2 as pb
from mercato.privacy.v1 import erasure_register_service_pb2_grpc as pb_grpc

from services.profile.converters.erasures import erasure_message, outcome_of, pending_message, person_message
from services.profile.erasures import Erasures
from shared.context.request import current_tenant


class RegisterServicer(pb_grpc.ErasureRegisterServiceServicer):
    """Keeps the register."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures

    async def BeginErasure(self, request: pb.BeginErasureRequest, context: Any) -> pb.BeginErasureResponse:
        pending = await self._erasures.begin(current_tenant(), request.user_id, request.visitor_id, request.stores)
        return pb.BeginErasureResponse(pending=pending_message(pending))

    async def ClaimErasures(self, request: pb.ClaimErasuresRequest, context: Any) -> pb.ClaimErasuresResponse:
        claimed = await self._erasures.claim(request.limit, request.lease_seconds)
        return pb.ClaimErasuresResponse(pending=map(pending_message, claimed))

    async def RecordStore(self, request: pb.RecordStoreRequest, context: Any) -> pb.RecordStoreResponse:
        erasure = await self._erasures.record(current_tenant(), request.receipt_id, outcome_of(request))
        return pb.RecordStoreResponse(erasure=erasure_message(erasure))

    async def GetErasure(self, request: pb.GetErasureRequest, context: Any) -> pb.GetErasureResponse:
        erasure = await self._erasures.get(current_tenant(), request.receipt_id)
        return pb.GetErasureResponse(erasure=erasure_message(erasure))

    async def GetReceiptKey(self, request: pb.GetReceiptKeyRequest, context: Any) -> pb.GetReceiptKeyResponse:
        return pb.GetReceiptKeyResponse(jwk=self._erasures.public_key)

    async def ResolvePerson(self, request: pb.ResolvePersonRequest, context: Any) -> pb.ResolvePersonResponse:
        person = await self._erasures.resolve(current_tenant(), request.user_id, request.visitor_id)
        now = Timestamp()
        now.GetCurrentTime()
        return pb.ResolvePersonResponse(person=person_message(person), read_time=now)
