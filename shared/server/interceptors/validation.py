"""Validation: every request message against its schema, before the handler sees it.

Also refuses what is no message at all or too large. Both are found while the bytes are decoded, outside any
interceptor's reach, so the decoder hands over a note instead of raising.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from shared.errors.base import InvalidArgument, MercatoError, ResourceExhausted, Violation
from shared.errors.reasons import Reason
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor
from shared.validation.nul import nul_violations
from shared.validation.validator import violations_of


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands where the message would be."""

    error: MercatoError


class ValidationInterceptor(RpcInterceptor):
    """INVALID_ARGUMENT with all violations; RESOURCE_EXHAUSTED, reason MESSAGE_TOO_LARGE, above the limit."""

    def __init__(self, max_message_bytes: int) -> None:
        super().__init__()
        self._max_message_bytes = max_message_bytes

    def around(self, rpc: Rpc, context: Context) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def incoming(self, rpc: Rpc, request: Any) -> Any:
        if rpc.request_streaming:
            return self._checked(request)
        self._check(request)
        return request

    def deserializer(self, original: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
        if original is None:
            return None

        def deserialize(data: bytes) -> Any:
            if len(data) > self._max_message_bytes:
                return _Refused(self._too_large(len(data)))
            try:
                message = original(data)
            except DecodeError:
                rule = "is not a valid protobuf message of the expected type (or holds invalid UTF-8)"
                return _Refused(InvalidArgument([Violation("", rule, "decode")]))
            found = nul_violations(message, data)
            return _Refused(InvalidArgument(found)) if found else message

        return deserialize

    async def _checked(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The messages of a request stream, each checked when it is read."""
        async for request in requests:
            self._check(request)
            yield request

    def _check(self, request: Any) -> None:
        """Raises what is wrong with one message."""
        if isinstance(request, _Refused):
            raise request.error
        violations = violations_of(request)
        if violations:
            raise InvalidArgument(violations)

    def _too_large(self, size: int) -> ResourceExhausted:
        """The error for a message of ``size`` bytes."""
        limit = self._max_message_bytes
        return ResourceExhausted(
            f"message of {size} bytes is larger than {limit}",
            reason=Reason.MESSAGE_TOO_LARGE,
            metadata={"size": str(size), "limit": str(limit)},
        )
