"""Who makes the call that is being served."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from services.gateway.access.scopes import ALL, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller."""

    actor: str
    """`key:<key_id>`, `token:<pseudonym>`, or `open` where nobody must say who they are. Holds no personal data."""
    tenant: str
    """The tenant that it belongs to; empty for `open`, which may name any."""
    scopes: frozenset[Scope]


OPEN = Caller("open", "", ALL)
"""The caller of a suite without any key."""

_caller: ContextVar[Caller | None] = ContextVar("mercato_caller", default=None)


def current_caller() -> Caller:
    """The caller of the current request. Raises LookupError outside one, so that nothing is allowed by accident."""
    caller = _caller.get()
    if caller is None:
        raise LookupError("no call is being served")
    return caller


def set_caller(caller: Caller) -> None:
    """Sets the caller for the rest of this task. For the authentication interceptor."""
    _caller.set(caller)
