"""A write that is sent again with its idempotency key is done once and answered twice.

After the IETF draft "The Idempotency-Key HTTP Header Field" and AIP-155: the first good answer is kept for a day for
each tenant, caller, method and key; the same key with another request is refused; a second request that comes while
the first is worked on waits for its answer. Errors are not kept: the next request with the key tries again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from services.gateway.access.caller import current_caller
from services.gateway.access.scopes import Scope
from services.gateway.access.table import rule_of
from services.gateway.limits.ports import AnswerStore, Write
from shared.context.request import current_tenant, remaining_seconds
from shared.errors.base import Aborted, InvalidArgument, Violation
from shared.errors.reasons import Reason
from shared.server.interceptors.handler import Behaviour, Rpc, RpcInterceptor, metadata_value
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter

METADATA = "idempotency-key"
KEPT_SECONDS = 86_400.0
READING = ("Get", "List", "BatchGet", "Recommend", "Similar", "Compare", "Search")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_CLAIM_MARGIN_SECONDS, _LONGEST_CLAIM_SECONDS = 5.0, 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _LONGEST_WAIT_SECONDS = 0.02, 0.5, 5.0
_FORGET_EVERY_SECONDS = 600.0

_log = logger("idempotency")
_writes = counter("gateway_idempotent_writes_total", "Writes with an idempotency key.", ["outcome"])


class RepeatedWritesInterceptor(RpcInterceptor):
    """Acts on unary writes that carry ``idempotency-key``. Without the database they are refused with UNAVAILABLE."""

    def __init__(self, store: AnswerStore) -> None:
        super().__init__()
        self._store = store

    async def forget(self) -> None:
        """Deletes old answers until cancelled. Raises what the store raises; the caller starts it again."""
        while True:
            await self._store.forget(KEPT_SECONDS)
            await asyncio.sleep(_FORGET_EVERY_SECONDS)

    def _unary(self, rpc: Rpc, behaviour: Behaviour) -> Behaviour:
        name = rpc.method.rpartition("/")[2]
        if not rpc.unary or name.startswith(READING):
            return behaviour

        async def respond(request: Any, context: Any) -> Any:
            key = metadata_value(context, METADATA)
            if not key or not isinstance(request, Message):  # what is no message is refused further in
                return await behaviour(request, context)
            write = _write(rpc, key, request)
            return await self._once(write, lambda: behaviour(request, context))

        return respond

    def _stream(self, rpc: Rpc, behaviour: Behaviour) -> Behaviour:
        return behaviour

    async def _once(self, write: Write, do: Callable[[], Awaitable[Any]]) -> Any:
        """The first answer to ``write``: kept, awaited, or made now."""
        claim = str(uuid.uuid4())
        loop = asyncio.get_running_loop()
        left = remaining_seconds()
        give_up = loop.time() + min(_LONGEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS if left is None else left * 0.8)
        seconds = min(_LONGEST_CLAIM_SECONDS, (left or _LONGEST_CLAIM_SECONDS) + _CLAIM_MARGIN_SECONDS)
        pause = _FIRST_PAUSE_SECONDS
        while kept := await self._store.claim(write, claim, seconds, KEPT_SECONDS):
            if kept.sha256 != write.sha256:
                _writes.labels("reused").inc()
                rule = "was used for another request within a day"
                raise InvalidArgument(
                    [Violation(METADATA, rule, "idempotency_key.reused")],
                    reason=Reason.IDEMPOTENCY_KEY_REUSED,
                    metadata={"idempotency_key": write.key},
                )
            if kept.answer is not None:
                _writes.labels("kept").inc()
                return _answer_class(write.method).FromString(kept.answer)
            if loop.time() + pause > give_up:
                _writes.labels("in_use").inc()
                error = Aborted(
                    "the first request with this idempotency key is still being worked on",
                    reason=Reason.IDEMPOTENCY_KEY_IN_USE,
                    metadata={"idempotency_key": write.key},
                )
                error.retry_after_seconds = 1.0
                raise error
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return await self._first(write, claim, do)

    async def _first(self, write: Write, claim: str, do: Callable[[], Awaitable[Any]]) -> Any:
        """Does the write and keeps its answer."""
        try:
            answer = await do()
        except BaseException:
            await asyncio.shield(self._settle(self._store.release(write, claim)))
            raise
        await asyncio.shield(self._settle(self._store.keep(write, claim, answer.SerializeToString())))
        _writes.labels("first").inc()
        return answer

    async def _settle(self, change: Awaitable[None]) -> None:
        """The write is done or has failed already: its caller learns that, whatever the store says now."""
        try:
            await change
        except Exception as error:
            _log.warning("idempotency key not settled", error=type(error).__name__)


def _write(rpc: Rpc, key: str, request: Message) -> Write:
    """Raises InvalidArgument for a malformed key, and for methods whose answers must not be kept."""
    rule = rule_of(rpc.method)
    problem = "" if _KEY.fullmatch(key) else "must be 1 to 128 visible ASCII characters"
    if rule is not None and rule.scope is Scope.KEYS:
        problem = "is not taken by methods that answer with a secret"
    if problem:
        violation = Violation(METADATA, problem, "idempotency_key.valid")
        raise InvalidArgument([violation], reason=Reason.INVALID_IDEMPOTENCY_KEY, metadata={"field": METADATA})
    sha256 = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return Write(current_tenant(), current_caller().actor, rpc.method, key, sha256)


@cache
def _answer_class(method: str) -> type[Message]:
    """The class of the answers of ``/package.Service/Method``."""
    service, _, name = method.removeprefix("/").partition("/")
    descriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    found: type[Message] = message_factory.GetMessageClass(descriptor.output_type)
    return found
