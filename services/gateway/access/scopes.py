"""Scopes: what a caller may do, by group of rpcs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Scope(StrEnum):
    """One group of rpcs."""

    RECOMMEND = "recommend"
    SEARCH = "search"
    ASK = "ask"
    EVENTS = "events"
    CATALOG_READ = "catalog.read"
    CATALOG_WRITE = "catalog.write"
    DOCUMENTS_READ = "documents.read"
    DOCUMENTS_WRITE = "documents.write"
    PROFILES = "profiles"
    PRIVACY = "privacy"
    OPERATIONS = "operations"
    KEYS = "keys"
    AUDIT = "audit"


SETS: Mapping[str, frozenset[Scope]] = {
    "read": frozenset(
        {
            Scope.RECOMMEND,
            Scope.SEARCH,
            Scope.ASK,
            Scope.CATALOG_READ,
            Scope.DOCUMENTS_READ,
            Scope.PROFILES,
        }
    ),
    "write": frozenset({Scope.EVENTS, Scope.CATALOG_WRITE, Scope.DOCUMENTS_WRITE}),
    "operate": frozenset({Scope.OPERATIONS, Scope.PRIVACY, Scope.KEYS, Scope.AUDIT}),
}
"""Names for several scopes; together they are all."""
ALL = frozenset(Scope)
NAMES = (*SETS, *(scope.value for scope in Scope))
"""What may be given to a key."""


def expand(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes that ``names`` stand for. A name that this release does not know gives nothing."""
    found: set[Scope] = set()
    for name in names:
        if name in SETS:
            found |= SETS[name]
        elif name in _BY_NAME:
            found.add(_BY_NAME[name])
    return frozenset(found)


def unknown(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that are no scope and no set, sorted."""
    return sorted(set(names) - set(NAMES))


_BY_NAME = {scope.value: scope for scope in Scope}
