"""``mercato.privacy.v1.PersonalKeysService``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from mercato.privacy.v1 import personal_keys_service_pb2 as pb
from mercato.privacy.v1 import personal_keys_service_pb2_grpc as pb_grpc

from services.profile.sealing import Sealing


class PersonalKeysServicer(pb_grpc.PersonalKeysServiceServicer):
    """Rotates keys."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing

    async def RotateKeys(self, request: pb.RotateKeysRequest, context: Any) -> AsyncIterator[pb.RotateKeysResponse]:
        async with aclosing(self._sealing.rotate()) as steps:
            async for step in steps:
                yield pb.RotateKeysResponse(step=step.name, done=step.done, total=step.total)
