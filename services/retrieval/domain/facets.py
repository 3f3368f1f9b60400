"""Attributes as facets: what filters compare, without names and texts.

A text value is a 64-bit hash of name and value; numbers of an attribute are their hull: its lowest and highest.
Filters ask for equality with a text, or for a number not below and a number not above a limit, and both answers
follow from these. Hashes hold no quotes, so no value can break out of a filter expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

FACET_BYTES = 48_000
"""Room for a product's facets in the index (a dynamic field holds 65,536 bytes). Attributes beyond do not filter."""
_TEXT_BYTES, _RANGE_BYTES = 22, 100


@dataclass(frozen=True, slots=True)
class Attribute:
    """One typed property, as the contract defines it."""

    name: str
    texts: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Lowest and highest number of the attribute whose name has this hash."""

    name: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Facets:
    """A product's facets, in order of hash."""

    texts: tuple[int, ...] = ()
    ranges: tuple[NumberRange, ...] = ()


def text_facet(name: str, text: str) -> int:
    """Hash of an attribute's text value."""
    key = name.encode()
    return _hash(len(key).to_bytes(4, "little") + key + text.encode())


def name_facet(name: str) -> int:
    """Hash of an attribute's name."""
    return _hash(name.encode())


def facets_of(attributes: Iterable[Attribute]) -> Facets:
    """Facets of a product's attributes, in their order until `FACET_BYTES` are used."""
    texts: set[int] = set()
    ranges: dict[int, NumberRange] = {}
    left = FACET_BYTES
    for attribute in attributes:
        left -= _TEXT_BYTES * len(attribute.texts) + (_RANGE_BYTES if attribute.numbers else 0)
        if left < 0:
            break
        texts.update(text_facet(attribute.name, text) for text in attribute.texts)
        if attribute.numbers:
            name = name_facet(attribute.name)
            ranges[name] = NumberRange(name, float(min(attribute.numbers)), float(max(attribute.numbers)))
    return Facets(tuple(sorted(texts)), tuple(ranges[name] for name in sorted(ranges)))


def facets_to_fields(facets: Facets) -> dict[str, float | int]:
    """Facets as flat fields of a document."""
    fields: dict[str, float | int] = {text_field(text): 1 for text in facets.texts}
    for item in facets.ranges:
        fields[low_field(item.name)] = item.low
        fields[high_field(item.name)] = item.high
    return fields


def facets_from_fields(fields: Mapping[str, object]) -> Facets:
    """Reads back what `facets_to_fields` wrote; other fields are passed over."""
    texts: list[int] = []
    lows: dict[int, float] = {}
    highs: dict[int, float] = {}
    for key, value in fields.items():
        if len(key) == 17 and key[0] == "t":
            texts.append(int(key[1:], 16))
        elif len(key) == 19 and key[0] == "n":
            bounds = lows if key.endswith("lo") else highs
            bounds[int(key[1:17], 16)] = float(str(value))
    ranges = tuple(NumberRange(name, lows[name], highs[name]) for name in sorted(lows.keys() & highs.keys()))
    return Facets(tuple(sorted(texts)), ranges)


def text_field(text: int) -> str:
    """Name of the field of a text facet."""
    return f"t{text:016x}"


def low_field(name: int) -> str:
    """Name of the field of an attribute's lowest number."""
    return f"n{name:016x}lo"


def high_field(name: int) -> str:
    """Name of the field of an attribute's highest number."""
    return f"n{name:016x}hi"


def _hash(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
