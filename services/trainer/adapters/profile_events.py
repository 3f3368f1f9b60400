"""Events with all that learning needs, from the profile service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp
from mercato.profile.v1 import profile_service_pb2 as pb
from mercato.profile.v1 import profile_service_pb2_grpc

from services.trainer.datasets.events import EventChunk, Request
from services.trainer.learning.interactions import EventKind
from shared.client.failures import remote_errors

CHUNK_ROWS = 50_000


class ProfileEvents:
    """Reads `mercato.profile.v1.ReadEvents` in the view FULL."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = profile_service_pb2_grpc.ProfileServiceStub(channel)

    async def read(self, kinds: Iterable[EventKind] = EventKind, since_s: int = 0) -> AsyncIterator[EventChunk]:
        """Streams the current tenant's events by time. Raises Unavailable."""
        request = pb.ReadEventsRequest(
            event_types=[int(kind) for kind in kinds],  # type: ignore[misc]  # open enum
            start_time=Timestamp(seconds=since_s),
            chunk_size=CHUNK_ROWS,
            view=pb.EVENT_VIEW_FULL,
        )
        total = 0
        with remote_errors("profile"):
            async for response in self._stub.ReadEvents(request):
                total = total or response.total_rows
                yield _chunk(response, total)


def _chunk(response: pb.ReadEventsResponse, total: int) -> EventChunk:
    return EventChunk(
        user_keys=response.user_keys,
        product_ids=response.product_ids,
        requests=[
            Request(
                key=said.request_key,
                release_id=said.release_id,
                list_kind=said.list_kind,
                time_s=said.request_time_s,
                exposures=tuple((one.experiment_id, one.variant_id) for one in said.exposures),
            )
            for said in response.requests
        ],
        currencies=response.currencies,
        users=_column(response.user_indexes, np.int32),
        products=_column(response.product_indexes, np.int32),
        request_indexes=_column(response.request_indexes, np.int32),
        currency_indexes=_column(response.currency_indexes, np.int32),
        kinds=_column(response.event_types, np.int8),
        times_s=_column(response.event_times_s, np.int64),
        events=_column(response.event_numbers, np.int64),
        quantities=_column(response.quantities, np.int32),
        positions=_column(response.positions, np.int32),
        unit_price_micros=_column(response.unit_price_micros, np.int64),
        devices=_column(response.devices, np.int8),
        total_rows=total,
    )


def _column(values: Sequence[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.fromiter(values, dtype, len(values))
