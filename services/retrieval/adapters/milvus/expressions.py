"""Filters as Milvus expressions. What Milvus Lite lacks is avoided: chained comparisons, JSON `in`, templates.

Texts of requests stand in the expression only as quoted literals; attributes only as hashes.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.retrieval.domain.facets import high_field, low_field, name_facet, text_facet, text_field
from services.retrieval.domain.filter import AttributeCondition, ProductFilter
from services.retrieval.domain.product import CATEGORY_LEVELS

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def quoted(text: str) -> str:
    r"""A string literal.

    >>> print(quoted('5" disk \\ x'))
    "5\" disk \\ x"
    """
    return f'"{text.translate(_ESCAPES)}"'


def one_of(field: str, texts: Iterable[str]) -> str:
    """Whether a field equals any of these."""
    return f"{field} in [{', '.join(quoted(text) for text in sorted(texts))}]"


def category_field(level: int) -> str:
    """Field of a level of the category path, from 0. A scalar field a level: arrays are slow to filter in Lite."""
    return f"category_{level + 1}"


def expression_of(wanted: ProductFilter) -> str:
    """The filter's conditions; empty when there are none. Excluded products are left to the caller."""
    parts = [] if wanted.include_unavailable else ["available == true"]
    if wanted.categories:
        levels = (one_of(category_field(level), wanted.categories) for level in range(CATEGORY_LEVELS))
        parts.append(f"({' or '.join(levels)})")
    if wanted.brands:
        parts.append(one_of("brand", wanted.brands))
    if wanted.low_micros is not None or wanted.high_micros is not None:
        parts.append(f"price_micros >= {max(0, wanted.low_micros or 0)}")
    if wanted.high_micros is not None:
        parts.append(f"price_micros <= {wanted.high_micros}")
    for condition in wanted.attributes:
        parts += _condition(condition)
    return " and ".join(parts)


def _condition(condition: AttributeCondition) -> list[str]:
    parts: list[str] = []
    if condition.texts:
        fields = sorted(text_field(text_facet(condition.name, text)) for text in condition.texts)
        parts.append(f"({' or '.join(f'{_dynamic(field)} == 1' for field in fields)})")
    name = name_facet(condition.name)
    if condition.low is not None:
        parts.append(f"{_dynamic(high_field(name))} >= {float(condition.low)!r}")
    if condition.high is not None:
        parts.append(f"{_dynamic(low_field(name))} <= {float(condition.high)!r}")
    return parts


def _dynamic(field: str) -> str:
    return f'$meta["{field}"]'
