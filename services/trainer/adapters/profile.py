"""Purchases from the profile service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import numpy as np
from mercato.gateway.v1 import user_event_pb2
from mercato.profile.v1 import profile_service_pb2 as pb
from mercato.profile.v1 import profile_service_pb2_grpc

from services.trainer.ports import EventChunk
from shared.client.failures import remote_errors

CHUNK_ROWS = 50_000


class ProfilePurchases:
    """Reads `mercato.profile.v1.ReadEvents`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = profile_service_pb2_grpc.ProfileServiceStub(channel)

    async def read(self) -> AsyncIterator[EventChunk]:
        request = pb.ReadEventsRequest(event_types=[user_event_pb2.USER_EVENT_TYPE_PURCHASE], chunk_size=CHUNK_ROWS)
        total = 0
        with remote_errors("profile"):
            async for response in self._stub.ReadEvents(request):
                total = total or response.total_rows
                yield EventChunk(
                    response.user_keys,
                    response.product_ids,
                    np.fromiter(response.user_indexes, np.int32, len(response.user_indexes)),
                    np.fromiter(response.product_indexes, np.int32, len(response.product_indexes)),
                    np.fromiter(response.event_times_s, np.int64, len(response.event_times_s)),
                    np.fromiter(response.event_numbers, np.int64, len(response.event_numbers)),
                    total,
                )
