"""The data card: what a data set holds, where it came from and its hash. It goes with every model learned from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a data set comes from."""

    source: str
    """For people: the service and tenant, or the name of a file."""
    filters: tuple[str, ...]
    """Every rule by which rows were left out, for people."""
    pseudonymisation: str
    """How keys of users were made."""
    code_version: str
    create_time_s: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """Counts, times in seconds since 1970, and hashes; `data_card.json` beside the data."""

    format: int
    provenance: Provenance
    rows_by_kind: Mapping[str, int]
    """Interactions by type of event."""
    user_count: int
    product_count: int
    impression_count: int
    request_count: int
    """Answers that showed products."""
    start_time_s: int
    """First interaction; 0: none."""
    end_time_s: int
    text_dimension: int
    """Components of a text vector; 0: there are none."""
    digests: Mapping[str, str]
    """SHA-256 of the canonical columns of each part."""

    @property
    def sha256(self) -> str:
        """The data set's hash: equal for equal data, wherever and whenever it was built."""
        text = "".join(f"{name}:{value};" for name, value in sorted(self.digests.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """For people and programs; `sha256` is added."""
        return json.dumps({**asdict(self), "sha256": self.sha256}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DataCard:
        """Reads what `to_json` wrote. Raises ValueError naming the field that is missing, unknown or wrong."""
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"is no JSON: {error}") from error
        found = _checked(value, cls, "the card", extra={"sha256"})
        sha256 = found.pop("sha256")
        if found["format"] != FORMAT:
            raise ValueError(f"has the format {found['format']!r}; this version reads {FORMAT}")
        about = _checked(found["provenance"], Provenance, "provenance")
        if not isinstance(found["digests"], dict):
            raise ValueError("digests is no object")
        card = cls(**{**found, "provenance": Provenance(**{**about, "filters": tuple(about["filters"])})})
        if not all(isinstance(digest, str) for digest in card.digests.values()) or card.sha256 != sha256:
            raise ValueError(f"has the sha256 {sha256!r}, which its digests don't give")
        return card


def _checked(value: Any, shape: type, name: str, extra: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    """The fields of an object; all of them, and no other."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {type(value).__name__}; it must be an object")
    expected = {field.name for field in fields(shape)} | extra
    if missing := sorted(expected - value.keys()):
        raise ValueError(f"{name} lacks {', '.join(missing)}")
    if unknown := sorted(value.keys() - expected):
        raise ValueError(f"{name} has unknown fields {', '.join(unknown)}")
    return dict(value)
