"""Numbers for values that many products share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from shared.naming.category_path import joined

T = TypeVar("T", bound=Hashable)
Bools = npt.NDArray[np.bool_]


class Interner(Generic[T]):
    """Each distinct value has one number, from 0 without gaps."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        """The value's number; a new one for a new value."""
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number

    def known(self, value: T) -> int | None:
        """The value's number, if it has one."""
        return self._numbers.get(value)

    def marked(self, values: Iterable[T]) -> Bools:
        """By number: whether it is one of these values."""
        found = np.zeros(len(self.values), bool)
        found[[number for value in values if (number := self._numbers.get(value)) is not None]] = True
        return found


class NameInterner(Interner[str]):
    """Names; finds them without regard to case."""

    def __init__(self) -> None:
        super().__init__()
        self._by_folded: dict[str, list[int]] = {}

    def number(self, value: str) -> int:
        before = len(self.values)
        number = super().number(value)
        if number == before:
            self._by_folded.setdefault(value.strip().casefold(), []).append(number)
        return number

    def named(self, text: str) -> Bools:
        """By number: whether the name is this text."""
        found = np.zeros(len(self.values), bool)
        found[self._by_folded.get(text.strip().casefold(), [])] = True
        return found


class PathInterner(Interner[tuple[str, ...]]):
    """Category paths; finds those that have a level, and one by its joined name."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[str] = []
        """By number: the whole path joined by ` > `, empty for an empty path."""
        self._with_level: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}

    def number(self, value: tuple[str, ...]) -> int:
        before = len(self.values)
        number = super().number(value)
        if number == before:
            self.joined.append(joined(value))
            self._by_name.setdefault(self.joined[number], []).append(number)
            for level in set(value):
                self._with_level.setdefault(level, []).append(number)
        return number

    def having(self, levels: Iterable[str]) -> Bools:
        """By number: whether any level of the path equals any of these."""
        found = np.zeros(len(self.values), bool)
        for level in levels:
            found[self._with_level.get(level, [])] = True
        return found

    def within(self, category: str) -> Bools:
        """By number: whether it is the path of this name, or has a level of this name."""
        found = self.having((category,))
        found[self._by_name.get(category, [])] = True
        return found
