"""Names of collections and aliases. They say whose they are, and can be read back.

Milvus allows letters, digits and `_`; everything else is written as `_` and two hexadecimal digits, `_` itself twice. A
single `_` before `r`, `n` or `x` therefore separates: `products_acme_rminilm_2dv1_n3_x384`, alias `products_acme`.
"""

from __future__ import annotations

import re

from services.retrieval.domain.index import IndexInfo
from shared.errors.base import InvalidArgument, Violation

PRODUCTS, PASSAGES, BEHAVIOUR = "products", "passages", "behaviour"
LONGEST = 255
_PART = r"((?:[A-Za-z0-9]|__|_[0-9a-f]{2})+)"
_NAME = re.compile(rf"([a-z]+)_{_PART}_r{_PART}_n(\d+)_x(\d+)")


def alias_of(kind: str, tenant: str) -> str:
    """Alias of a tenant's active collection."""
    return f"{kind}_{_encoded(tenant)}"


def whole_alias(name: str) -> str:
    """Alias that marks a collection as filled with all that belongs to it."""
    return f"{name}_w"


def name_of(kind: str, tenant: str, model_release: str, number: int, dimension: int) -> str:
    """Name of a collection. Raises InvalidArgument when the release's name is too long."""
    name = f"{kind}_{_encoded(tenant)}_r{_encoded(model_release)}_n{number}_x{dimension}"
    if len(name) > LONGEST:
        raise InvalidArgument([Violation("model_release", "is too long for a name of a collection", "retrieval.name")])
    return name


def parse(kind: str, name: str) -> IndexInfo | None:
    """Reads a name; None when it is none of ours."""
    found = _NAME.fullmatch(name)
    if found is None or found[1] != kind:
        return None
    return IndexInfo(name, _decoded(found[2]), _decoded(found[3]), int(found[5]), int(found[4]))


def _encoded(text: str) -> str:
    parts = []
    for byte in text.encode():
        character = chr(byte)
        if character.isascii() and character.isalnum():
            parts.append(character)
        else:
            parts.append("__" if character == "_" else f"_{byte:02x}")
    return "".join(parts)


def _decoded(text: str) -> str:
    plain = re.sub(r"__|_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)) if found[1] else "_", text)
    return plain.encode("latin-1").decode()
