"""Page tokens: where the next page starts, bound to the arguments of the first page.

A token is opaque to clients: URL-safe base64 of a small JSON document. It is not secret and not signed, so
what it says is only ever a position; the tenant and the filters come from the request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Mapping

from google.protobuf.message import Message

from shared.errors.base import InvalidArgument, Violation
from shared.errors.reasons import Reason

CursorValue = str | int | float | bool | None
Cursor = dict[str, CursorValue]

_VERSION = 1
_MAX_TOKEN = 4096
_PAGING_FIELDS = ("page_size", "page_token")


def page_size(requested: int, default: int, maximum: int) -> int:
    """The size to use: 0 means ``default``, above ``maximum`` is lowered to it. Raises InvalidArgument below 0."""
    if requested < 0:
        raise InvalidArgument([Violation("page_size", "must be at least 0", "int32.gte")])
    return min(requested or default, maximum)


def hash_arguments(request: Message, *, without: Collection[str] = _PAGING_FIELDS) -> str:
    """A short hash of all fields of ``request`` but the paging ones, for ``encode_token`` and ``decode_token``."""
    copy = type(request)()
    copy.CopyFrom(request)
    for field in without:
        if field in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(field)
    name = copy.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + copy.SerializeToString(deterministic=True)).hexdigest()[:16]


def encode_token(cursor: Mapping[str, CursorValue], arguments_hash: str) -> str:
    """The token for a page that starts after ``cursor``."""
    document = {"v": _VERSION, "h": arguments_hash, "c": dict(cursor)}
    text = json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, arguments_hash: str) -> Cursor:
    """The cursor in ``token``; empty for an empty token (the first page).

    Raises InvalidArgument, reason INVALID_PAGE_TOKEN, for a token that is malformed or was made for other
    arguments.
    """
    if not token:
        return {}
    document = _parse(token)
    if document.get("h") != arguments_hash:
        raise _invalid("was made for other arguments; start again without a page token")
    cursor = document.get("c")
    if document.get("v") != _VERSION or not isinstance(cursor, dict):
        raise _invalid("is malformed")
    if not all(isinstance(value, CursorValue) for value in cursor.values()):
        raise _invalid("is malformed")
    return cursor


def _parse(token: str) -> dict[str, object]:
    """The JSON object in ``token``."""
    if len(token) > _MAX_TOKEN:
        raise _invalid("is malformed")
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        document = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("is malformed") from None
    if not isinstance(document, dict):
        raise _invalid("is malformed")
    return document


def _invalid(description: str) -> InvalidArgument:
    """The error for a bad token."""
    violation = Violation("page_token", description, "page_token")
    return InvalidArgument([violation], reason=Reason.INVALID_PAGE_TOKEN, metadata={"field": "page_token"})
