"""Exports, receipts and rows for learning to messages."""

from __future__ import annotations

from mercato.profile.v1 import profile_service_pb2 as pb

from services.profile.converters.events import message_of
from services.profile.converters.money import time_us_of, timestamp_of
from services.profile.ports import EventChunk, EventDetails, EventQuery, ExportPart, Receipt

DEFAULT_CHUNK, MOST_CHUNK = 10_000, 50_000


def export_message(part: ExportPart) -> pb.ExportUserDataResponse:
    """A part of an export."""
    return pb.ExportUserDataResponse(events=map(message_of, part.events), visitor_ids=part.visitor_ids)


def receipt_message(receipt: Receipt) -> pb.EraseUserDataResponse:
    """A receipt."""
    return pb.EraseUserDataResponse(
        receipt_id=receipt.receipt_id,
        erase_time=timestamp_of(receipt.erase_time_us),
        erased_event_count=receipt.event_count,
        erased_record_count=receipt.record_count,
    )


def event_query(request: pb.ReadEventsRequest) -> EventQuery:
    """Which events to read."""
    return EventQuery(
        event_types=tuple(request.event_types),
        start_us=time_us_of(request.start_time) if request.HasField("start_time") else None,
        end_us=time_us_of(request.end_time) if request.HasField("end_time") else None,
        chunk_rows=min(request.chunk_size or DEFAULT_CHUNK, MOST_CHUNK),
        details=request.view == pb.EVENT_VIEW_FULL,
    )


def chunk_message(chunk: EventChunk, *, first: bool) -> pb.ReadEventsResponse:
    """Rows in columns; the total stands in the first response only."""
    message = pb.ReadEventsResponse(
        user_keys=chunk.user_keys,
        product_ids=chunk.product_ids,
        user_indexes=chunk.user_indexes,
        product_indexes=chunk.product_indexes,
        event_types=chunk.event_types,  # type: ignore[arg-type]  # open enum
        event_times_s=chunk.times_s,
        quantities=chunk.quantities,
        event_numbers=chunk.event_numbers,
        total_rows=chunk.total_rows if first else 0,
    )
    if chunk.details is not None:
        _add_details(message, chunk.details)
    return message


def _add_details(message: pb.ReadEventsResponse, details: EventDetails) -> None:
    message.requests.extend(
        pb.AttributedRequest(
            request_key=request.request_key,
            release_id=request.release_id,
            list_kind=request.list_kind,
            request_time_s=request.time_s,
            exposures=[
                pb.ExperimentExposure(experiment_id=experiment, variant_id=variant)
                for experiment, variant in request.exposures
            ],
        )
        for request in details.requests
    )
    message.request_indexes.extend(details.request_indexes)
    message.positions.extend(details.positions)
    message.unit_price_micros.extend(details.unit_price_micros)
    message.currencies.extend(details.currencies)
    message.currency_indexes.extend(details.currency_indexes)
    message.devices.extend(details.devices)  # type: ignore[arg-type]  # open enum
