"""The rpcs of `mercato.gateway.v1.OperationsService` about API keys and the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from mercato.gateway.v1 import api_key_pb2, audit_event_pb2

from services.gateway.access.caller import current_caller
from services.gateway.access.keys import ApiKey, NewKey
from services.gateway.access.manage_keys import DEFAULT_OVERLAP_SECONDS, ManageKeys
from services.gateway.access.ports import AuditEvent, AuditFilter, AuditStore
from services.gateway.auditing import note_target
from shared.context.request import current_tenant
from shared.pagination.token import decode_token, encode_token, hash_arguments, page_size

Context = grpc.aio.ServicerContext[Any, Any]
KEYS_A_PAGE, MOST_KEYS_A_PAGE = 50, 200
ACTS_A_PAGE, MOST_ACTS_A_PAGE = 50, 500


@dataclass(frozen=True, slots=True)
class AccessUseCases:
    """What the rpcs need."""

    keys: ManageKeys
    audit: AuditStore


class AccessRpcs:
    """Part of the operations servicer."""

    def __init__(self, access: AccessUseCases) -> None:
        self._access = access

    async def CreateApiKey(
        self, request: api_key_pb2.CreateApiKeyRequest, context: Context
    ) -> api_key_pb2.CreateApiKeyResponse:
        caller = current_caller()
        lifetime = request.lifetime.ToTimedelta().total_seconds() if request.HasField("lifetime") else None
        new = NewKey(current_tenant(), request.name, tuple(request.scopes), caller.actor, lifetime)
        key, secret = await self._access.keys.create(caller, new)
        note_target(key.key_id)
        return api_key_pb2.CreateApiKeyResponse(key=_key(key), secret=secret)

    async def ListApiKeys(
        self, request: api_key_pb2.ListApiKeysRequest, context: Context
    ) -> api_key_pb2.ListApiKeysResponse:
        size = page_size(request.page_size, KEYS_A_PAGE, MOST_KEYS_A_PAGE)
        before, arguments = _before(request)
        found = await self._access.keys.list(current_tenant(), before, size + 1, ended=request.include_ended)
        token = encode_token({"before": found[size - 1].number}, arguments) if len(found) > size else ""
        return api_key_pb2.ListApiKeysResponse(keys=map(_key, found[:size]), next_page_token=token)

    async def RotateApiKey(
        self, request: api_key_pb2.RotateApiKeyRequest, context: Context
    ) -> api_key_pb2.RotateApiKeyResponse:
        given = request.HasField("overlap")
        overlap = request.overlap.ToTimedelta().total_seconds() if given else DEFAULT_OVERLAP_SECONDS
        rotated = await self._access.keys.rotate(current_caller(), current_tenant(), request.key_id, overlap)
        return api_key_pb2.RotateApiKeyResponse(
            key=_key(rotated.key), secret=rotated.secret, previous_secret_expire_time=_time(rotated.previous_ends)
        )

    async def RevokeApiKey(
        self, request: api_key_pb2.RevokeApiKeyRequest, context: Context
    ) -> api_key_pb2.RevokeApiKeyResponse:
        revoked = await self._access.keys.revoke(current_tenant(), request.key_id)
        return api_key_pb2.RevokeApiKeyResponse(key=_key(revoked))

    async def ListAuditEvents(
        self, request: audit_event_pb2.ListAuditEventsRequest, context: Context
    ) -> audit_event_pb2.ListAuditEventsResponse:
        size = page_size(request.page_size, ACTS_A_PAGE, MOST_ACTS_A_PAGE)
        before, arguments = _before(request)
        wanted = AuditFilter(
            actor=request.actor,
            action=request.action,
            start=request.start_time.ToDatetime(UTC) if request.HasField("start_time") else None,
            end=request.end_time.ToDatetime(UTC) if request.HasField("end_time") else None,
        )
        found = await self._access.audit.list(current_tenant(), wanted, before, size + 1)
        token = encode_token({"before": found[size - 1].number}, arguments) if len(found) > size else ""
        return audit_event_pb2.ListAuditEventsResponse(events=map(_event, found[:size]), next_page_token=token)


def _before(request: api_key_pb2.ListApiKeysRequest | audit_event_pb2.ListAuditEventsRequest) -> tuple[int | None, str]:
    """The number that the page begins below, and the hash of the arguments. Raises InvalidArgument."""
    arguments = hash_arguments(request)
    before = decode_token(request.page_token, arguments).get("before")
    return (before if isinstance(before, int) and abs(before) < 1 << 62 else None), arguments


def _time(value: datetime | None) -> Timestamp | None:
    if value is None:
        return None
    made = Timestamp()
    made.FromDatetime(value)
    return made


def _key(key: ApiKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        key_id=key.key_id,
        name=key.name,
        scopes=key.scopes,
        create_time=_time(key.create_time),
        created_by=key.created_by,
        expire_time=_time(key.expire_time),
        revoke_time=_time(key.revoke_time),
        last_used_time=_time(key.last_used_time),
        secret_count=key.secret_count,
    )


def _event(event: AuditEvent) -> audit_event_pb2.AuditEvent:
    return audit_event_pb2.AuditEvent(
        event_number=event.number,
        begin_time=_time(event.begin_time),
        end_time=_time(event.end_time),
        actor=event.act.actor,
        action=event.act.action,
        target=event.target,
        peer=event.act.peer,
        outcome=event.outcome,
        request_id=event.act.request_id,
    )
