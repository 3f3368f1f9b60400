"""Erasures to messages and back."""

from __future__ import annotations

from mercato.gateway.v1 import privacy_service_pb2 as gateway_pb
from mercato.privacy.v1 import erasure_register_service_pb2 as register_pb
from mercato.privacy.v1 import personal_data_service_pb2 as pb

from services.profile.converters.money import timestamp_of
from services.profile.domain.erasure import Erasure, Pending, PersonIds, StoreState

PENDING, DONE = gateway_pb.ERASURE_STATE_PENDING, gateway_pb.ERASURE_STATE_DONE


def person_message(person: PersonIds) -> pb.PersonRef:
    """How stores know a person."""
    return pb.PersonRef(user_id=person.user_id, visitor_ids=person.visitor_ids, person_keys=person.person_keys)


def erasure_message(erasure: Erasure) -> gateway_pb.Erasure:
    """An erasure."""
    return gateway_pb.Erasure(
        receipt_id=erasure.receipt_id,
        state=PENDING if erasure.complete_us is None else DONE,
        request_time=timestamp_of(erasure.request_us),
        complete_time=None if erasure.complete_us is None else timestamp_of(erasure.complete_us),
        stores=map(_store_message, erasure.stores),
        receipt=erasure.receipt,
    )


def pending_message(pending: Pending) -> register_pb.PendingErasure:
    """An erasure with whom it is about."""
    return register_pb.PendingErasure(
        erasure=erasure_message(pending.erasure), person=person_message(pending.person), tenant=pending.tenant
    )


def outcome_of(request: register_pb.RecordStoreRequest) -> StoreState:
    """What a store said."""
    if not request.HasField("done"):
        return StoreState(store=request.store, row_counts={}, failure=request.failure)
    counts: dict[str, int] = {}
    for erased in request.done.erased:
        counts[erased.kind] = counts.get(erased.kind, 0) + erased.row_count
    return StoreState(store=request.store, done=True, row_counts=counts, notes=tuple(request.done.notes))


def _store_message(state: StoreState) -> gateway_pb.ErasedStore:
    return gateway_pb.ErasedStore(
        store=state.store,
        state=DONE if state.done else PENDING,
        row_counts=state.row_counts,
        complete_time=None if state.complete_us is None else timestamp_of(state.complete_us),
        notes=state.notes,
        attempt_count=state.attempts,
        failure=state.failure,
    )
