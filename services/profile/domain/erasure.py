"""Erasures that reach into several stores, and what their receipts say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

RECEIPT_FORMAT = "mercato.erasure.v1"


@dataclass(frozen=True, slots=True)
class PersonIds:
    """How stores know a person."""

    user_id: str = ""
    visitor_ids: tuple[str, ...] = ()
    """Those that are nobody else's."""
    person_keys: tuple[bytes, ...] = ()
    """Pseudonyms in data sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What one store said."""

    store: str
    done: bool = False
    row_counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    attempts: int = 0
    failure: str = ""
    complete_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One erasure, without personal data."""

    receipt_id: str
    subject: str
    """Keyed hash of the person's id: who holds the key can tell whose receipt it is."""
    request_us: int
    complete_us: int | None = None
    stores: tuple[StoreState, ...] = ()
    receipt: str = ""
    """Signed; empty until all stores are done."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An erasure that is not done, with whom it is about."""

    tenant: str
    erasure: Erasure
    person: PersonIds


def statement(tenant: str, erasure: Erasure) -> dict[str, Any]:
    """The payload of a finished erasure's receipt; see docs/privacy.md."""
    return {
        "format": RECEIPT_FORMAT,
        "receipt_id": erasure.receipt_id,
        "tenant": tenant,
        "subject": erasure.subject,
        "request_time": _moment(erasure.request_us),
        "complete_time": _moment(erasure.complete_us),
        "stores": [
            {
                "store": one.store,
                "erased": dict(sorted(one.row_counts.items())),
                "complete_time": _moment(one.complete_us),
                "notes": list(one.notes),
            }
            for one in erasure.stores
        ],
    }


def _moment(time_us: int | None) -> str | None:
    """RFC 3339, UTC, in milliseconds."""
    if time_us is None:
        return None
    moment = datetime.fromtimestamp(time_us / 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
