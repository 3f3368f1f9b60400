"""Tenant, request id and deadline of the request being served, as context variables.

Server interceptors set them, client interceptors pass them on. Outside a request the tenant is ``default``,
the request id is empty and there is no deadline. Tasks started by a request inherit its values.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TENANT_METADATA = "mercato-tenant"
REQUEST_ID_METADATA = "x-request-id"
DEFAULT_TENANT = "default"
TENANT_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""A tenant id: 1 to 63 lower-case letters, digits, ``-`` or ``_``; safe in a label, a key and a collection name."""

_tenant: ContextVar[str] = ContextVar("mercato_tenant", default=DEFAULT_TENANT)
_request_id: ContextVar[str] = ContextVar("mercato_request_id", default="")
_deadline: ContextVar[float | None] = ContextVar("mercato_deadline", default=None)


def is_tenant(value: str) -> bool:
    """Whether ``value`` is a well-formed tenant id."""
    return TENANT_PATTERN.fullmatch(value) is not None


def current_tenant() -> str:
    """Tenant of the current request; ``default`` outside one."""
    return _tenant.get()


def current_request_id() -> str:
    """Id of the current request; empty outside one."""
    return _request_id.get()


def remaining_seconds() -> float | None:
    """Seconds until the current deadline (0.0 when it has passed); ``None`` without a deadline."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def new_request_id() -> str:
    """A fresh random request id (32 hexadecimal digits)."""
    return uuid.uuid4().hex


def set_tenant(tenant: str) -> None:
    """Sets the tenant for the rest of this task. For server interceptors; elsewhere use ``use_tenant``."""
    _tenant.set(tenant)


def set_request_id(request_id: str) -> None:
    """Sets the request id for the rest of this task. For server interceptors."""
    _request_id.set(request_id)


def set_remaining_seconds(seconds: float | None) -> None:
    """Sets the deadline for the rest of this task, ``seconds`` from now. For server interceptors."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


@contextmanager
def use_tenant(tenant: str) -> Iterator[None]:
    """Acts as ``tenant`` inside the block. For workers and tools, which have no request. Raises ValueError."""
    if not is_tenant(tenant):
        raise ValueError(f"not a tenant id: {tenant!r}")
    token = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(token)


@contextmanager
def use_request_id(request_id: str) -> Iterator[None]:
    """Calls made inside the block carry ``request_id``. For workers and tools."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


@contextmanager
def use_deadline(seconds: float) -> Iterator[None]:
    """Calls made inside the block may take ``seconds`` together, or less where the request has less left."""
    remaining = remaining_seconds()
    shortest = seconds if remaining is None else min(seconds, remaining)
    token = _deadline.set(time.monotonic() + shortest)
    try:
        yield
    finally:
        _deadline.reset(token)
