"""Request id: taken from ``x-request-id`` or made here, known to logs and to calls of other services."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.context.request import REQUEST_ID_METADATA, new_request_id, set_request_id
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor, metadata_value

_ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""Others are replaced: the id is written to logs and must not be able to forge a line."""


class RequestIdInterceptor(RpcInterceptor):
    """Sets ``current_request_id()`` and returns the id in the trailing metadata."""

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        given = metadata_value(context, REQUEST_ID_METADATA)
        request_id = given if _ACCEPTED.fullmatch(given) else new_request_id()
        set_request_id(request_id)
        context.set_trailing_metadata(((REQUEST_ID_METADATA, request_id),))
        yield
