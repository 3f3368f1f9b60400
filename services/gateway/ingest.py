"""Batches and streams of products, documents and events: checked, passed on, acknowledged in order, counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from mercato.catalog.v1 import catalog_service_pb2
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import (
    item_result_pb2,
    product_service_pb2,
    support_service_pb2,
    user_event_pb2,
    user_event_service_pb2,
)
from mercato.profile.v1 import profile_service_pb2
from mercato.support.v1 import support_service_pb2 as internal_support_pb2

from services.gateway.stubs import Stubs
from shared.attribution.token import TokenSigner
from shared.client.failures import remote_errors
from shared.context.request import current_tenant
from shared.errors.base import Unavailable
from shared.telemetry.metrics import counter

STORE_TIMEOUT_SECONDS = 30.0
EVENTS = counter("gateway_events_total", "Events of answered batches by outcome.", ("outcome",))
ACKNOWLEDGED, REFUSED = EVENTS.labels("acknowledged"), EVENTS.labels("rejected")


@dataclass(slots=True)
class WrittenEvents:
    """What became of a batch of events."""

    accepted: int
    duplicates: int
    quarantined: int
    rejected: list[item_result_pb2.ItemError]


class WriteEvents:
    """Checks attribution tokens here, where they are signed, and everything else where events are stored."""

    def __init__(self, stubs: Stubs, signer: TokenSigner) -> None:
        self._stubs = stubs
        self._signer = signer

    async def batch(self, events: Sequence[user_event_pb2.UserEvent]) -> WrittenEvents:
        """Stores a batch. Raises Unavailable: nothing was acknowledged then."""
        tenant = current_tenant()
        rejected: list[item_result_pb2.ItemError] = []
        places: list[int] = []
        for place, event in enumerate(events):
            if event.attribution_token and not self._signer.holds(event.attribution_token, tenant):
                rejected.append(_bad_token(place, event.event_id))
            else:
                places.append(place)
        REFUSED.inc(len(rejected))
        if not places:
            return WrittenEvents(0, 0, 0, rejected)
        kept = events if len(places) == len(events) else [events[place] for place in places]
        with remote_errors("profile"):
            response = await self._stubs.profile.WriteUserEvents(
                profile_service_pb2.WriteUserEventsRequest(events=kept), timeout=STORE_TIMEOUT_SECONDS
            )
        ACKNOWLEDGED.inc(response.accepted_count + response.duplicate_count)
        REFUSED.inc(len(response.rejected))
        for error in response.rejected:
            error.index = places[error.index]
            rejected.append(error)
        rejected.sort(key=lambda error: error.index)
        return WrittenEvents(response.accepted_count, response.duplicate_count, response.quarantined_count, rejected)

    async def stream(
        self, requests: AsyncIterator[user_event_service_pb2.WriteUserEventStreamRequest]
    ) -> AsyncIterator[user_event_service_pb2.WriteUserEventStreamResponse]:
        """Acknowledges each batch when it is stored; the last response carries the summary."""
        number, summary = 0, user_event_service_pb2.WriteSummary()
        async for request in requests:
            written = await self.batch(request.events)
            rebase(written.rejected, summary.received_count)
            summary.received_count += len(request.events)
            summary.accepted_count += written.accepted
            summary.duplicate_count += written.duplicates
            summary.quarantined_count += written.quarantined
            summary.rejected_count += len(written.rejected)
            yield user_event_service_pb2.WriteUserEventStreamResponse(
                batch_index=number,
                accepted_count=written.accepted,
                duplicate_count=written.duplicates,
                quarantined_count=written.quarantined,
                rejected=written.rejected,
            )
            number += 1
        yield user_event_service_pb2.WriteUserEventStreamResponse(batch_index=number, summary=summary)


async def import_products(
    stubs: Stubs, requests: AsyncIterator[product_service_pb2.ImportProductsRequest]
) -> AsyncIterator[product_service_pb2.ImportProductsResponse]:
    """Passes batches to the catalogue one at a time, so that memory stays bounded. Raises Unavailable."""
    number, summary = 0, product_service_pb2.ImportSummary()
    with remote_errors("catalog"):
        call = stubs.catalog.ImportProducts()
        try:
            async for request in requests:
                try:
                    await call.write(catalog_service_pb2.ImportProductsRequest(products=request.products))
                except asyncio.InvalidStateError:  # gRPC's word for a stream that ended, or was never opened
                    raise await _end_of(call, "catalog") from None
                response = await call.read()
                if not isinstance(response, catalog_service_pb2.ImportProductsResponse):
                    raise await _end_of(call, "catalog")
                rejected = list(response.rejected)
                rebase(rejected, summary.received_count)
                _count(summary, len(request.products), response, len(rejected))
                yield product_service_pb2.ImportProductsResponse(
                    batch_index=number,
                    created_count=response.created_count,
                    updated_count=response.updated_count,
                    unchanged_count=response.unchanged_count,
                    rejected=rejected,
                )
                number += 1
            await call.done_writing()
        finally:
            call.cancel()
    yield product_service_pb2.ImportProductsResponse(batch_index=number, summary=summary)


async def _end_of(call: Any, service: str) -> Exception:
    """Why a stream ended while it was used; a good end came too early, from a service that stops."""
    code = await call.code()
    if code is grpc.StatusCode.OK:
        return Unavailable(service)
    return grpc.aio.AioRpcError(
        code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )


async def import_documents(
    stubs: Stubs, requests: AsyncIterator[support_service_pb2.ImportDocumentsRequest]
) -> AsyncIterator[support_service_pb2.ImportDocumentsResponse]:
    """Passes batches to the support service."""
    number, summary = 0, product_service_pb2.ImportSummary()
    async for request in requests:
        with remote_errors("support"):
            response = await stubs.support.ImportDocuments(
                internal_support_pb2.ImportDocumentsRequest(documents=request.documents), timeout=STORE_TIMEOUT_SECONDS
            )
        rejected = list(response.rejected)
        rebase(rejected, summary.received_count)
        _count(summary, len(request.documents), response, len(rejected))
        yield support_service_pb2.ImportDocumentsResponse(
            batch_index=number,
            created_count=response.created_count,
            updated_count=response.updated_count,
            unchanged_count=response.unchanged_count,
            rejected=rejected,
        )
        number += 1
    yield support_service_pb2.ImportDocumentsResponse(batch_index=number, summary=summary)


def rebase(errors: Sequence[item_result_pb2.ItemError], first: int) -> None:
    """Counts indexes from the start of the stream instead of the batch."""
    for error in errors:
        error.index += first


def _count(
    summary: product_service_pb2.ImportSummary,
    received: int,
    response: catalog_service_pb2.ImportProductsResponse | internal_support_pb2.ImportDocumentsResponse,
    rejected: int,
) -> None:
    summary.received_count += received
    summary.created_count += response.created_count
    summary.updated_count += response.updated_count
    summary.unchanged_count += response.unchanged_count
    summary.rejected_count += rejected


def _bad_token(place: int, event_id: str) -> item_result_pb2.ItemError:
    description = "is malformed or was not made by this suite"
    violation = item_result_pb2.FieldViolation(
        field="attribution_token", description=description, rule="attribution_token.signature"
    )
    return item_result_pb2.ItemError(
        index=place,
        item_id=event_id,
        reason=error_reason_pb2.ERROR_REASON_INVALID_ATTRIBUTION_TOKEN,
        message=f"attribution_token: {description}",
        violations=[violation],
    )
