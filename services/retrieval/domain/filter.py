"""Which products a request wants."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """Any text equals any of `texts`, and some number is at least `low`, and some number is at most `high`."""

    name: str
    texts: frozenset[str] = frozenset()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """All given conditions hold together. Prices in millionths, inclusive; unknown prices match no price condition."""

    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    low_micros: int | None = None
    high_micros: int | None = None
    include_unavailable: bool = False
    attributes: tuple[AttributeCondition, ...] = ()
    excluded: frozenset[str] = field(default_factory=frozenset)

    @property
    def conditions(self) -> ProductFilter:
        """The same without excluded products: what can be remembered from one request to the next."""
        return replace(self, excluded=frozenset()) if self.excluded else self

    @property
    def is_open(self) -> bool:
        """Whether it lets every product pass that can be bought."""
        return self.conditions == ProductFilter()


EVERYTHING = ProductFilter()
