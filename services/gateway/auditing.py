"""Writes administrative acts to the audit log, around the handlers that do them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from services.gateway.access.audit import AuditLog
from services.gateway.access.caller import Caller, current_caller
from services.gateway.access.ports import Act
from services.gateway.access.table import Rule, action_of, rule_of
from shared.context.request import current_request_id, current_tenant
from shared.errors.base import MercatoError
from shared.errors.mapping import code_of, from_exception
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor

_target: ContextVar[list[str] | None] = ContextVar("mercato_audit_target", default=None)
_UNSAFE = re.compile(r"[^ -~]")
LONGEST_TARGET = 128


def note_target(target: str) -> None:
    """Names what the act being done is done to: the key that was made, the release that was trained."""
    box = _target.get()
    if box is not None:
        box[0] = _UNSAFE.sub("?", target)[:LONGEST_TARGET]


class Auditor:
    """Begins and ends acts."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    @asynccontextmanager
    async def recorded(self, rule: Rule, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        """Around the handler of an admitted call; does nothing unless the rule says that it is an act."""
        if not rule.audited:
            yield
            return
        box = [""]
        _target.set(box)
        number = await self._log.begin(_act(current_caller(), rpc, context))
        outcome = "CANCELLED"
        try:
            yield
            outcome = "OK"
        except Exception as error:
            outcome = _code(error)
            raise
        finally:
            await self._log.end(number, outcome, box[0])

    async def refused(self, caller: Caller, rpc: Rpc, context: Context, error: MercatoError) -> None:
        """An act that was not allowed."""
        number = await self._log.begin(_act(caller, rpc, context))
        await self._log.end(number, code_of(error).name, "")


class TargetInterceptor(RpcInterceptor):
    """Notes the field of the request that names the target. Inside authentication, where the act has begun."""

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        yield

    def incoming(self, rpc: Rpc, request: Any) -> Any:
        rule = rule_of(rpc.method)
        if rule is not None and rule.target:
            value = request
            for name in rule.target.split("."):
                value = getattr(value, name, "")
            note_target(str(value))
        return request


def _act(caller: Caller, rpc: Rpc, context: Context) -> Act:
    return Act(current_tenant(), caller.actor, action_of(rpc.method), _host(context.peer()), current_request_id())


def _host(peer: str | None) -> str:
    """``ipv4:10.0.0.7:53124`` without kind and port."""
    kind, _, rest = (peer or "").partition(":")
    return (
        rest.rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "") if kind in ("ipv4", "ipv6") else kind
    )


def _code(error: Exception) -> str:
    known = from_exception(error)
    return code_of(known).name if known is not None else "INTERNAL"
