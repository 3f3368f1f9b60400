"""`mercato.gateway.v1.PrivacyService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from mercato.gateway.v1 import privacy_service_pb2 as pb
from mercato.gateway.v1 import privacy_service_pb2_grpc

from services.gateway.privacy import Privacy

Context = grpc.aio.ServicerContext[Any, Any]


class PrivacyServicer(privacy_service_pb2_grpc.PrivacyServiceServicer):
    """Receipts and retention."""

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy

    async def GetErasure(self, request: pb.GetErasureRequest, context: Context) -> pb.GetErasureResponse:
        return pb.GetErasureResponse(erasure=await self._privacy.get(request.receipt_id))

    async def GetReceiptKey(self, request: pb.GetReceiptKeyRequest, context: Context) -> pb.GetReceiptKeyResponse:
        return pb.GetReceiptKeyResponse(jwk=await self._privacy.receipt_key())

    async def ApplyRetention(self, request: pb.ApplyRetentionRequest, context: Context) -> pb.ApplyRetentionResponse:
        return await self._privacy.apply_retention(dry_run=request.dry_run)

    async def RotateKeys(self, request: pb.RotateKeysRequest, context: Context) -> AsyncIterator[pb.RotateKeysResponse]:
        async for step in self._privacy.rotate_keys():
            yield step
