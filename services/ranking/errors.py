"""Errors of the ranking service."""

from __future__ import annotations

from shared.errors.base import InvalidArgument, Violation


class UnequalColumns(InvalidArgument):
    """A column of the candidates is not as long as `product_ids`."""

    def __init__(self, column: str, found: int, wanted: int) -> None:
        description = f"has {found} entries, product_ids has {wanted}"
        super().__init__([Violation(f"candidates.{column}", description, "columns.equal_length")])


class UnknownName(InvalidArgument):
    """A column of the candidates points to a name that is not there."""

    def __init__(self, column: str, place: int, found: int, size: int) -> None:
        description = f"is {found}, must be from 0 to {size - 1}" if size else f"is {found}, but there are no names"
        super().__init__([Violation(f"candidates.{column}[{place}]", description, "columns.name")])
