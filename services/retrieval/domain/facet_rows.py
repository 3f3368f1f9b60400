"""Facets of all products in memory, and which products meet a condition."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.facets import Facets, NumberRange, name_facet, text_facet
from services.retrieval.domain.filter import AttributeCondition
from services.retrieval.domain.ragged import RaggedColumns

Bools = npt.NDArray[np.bool_]


class FacetRows:
    """Facets by row."""

    def __init__(self) -> None:
        self._texts = RaggedColumns(np.uint64)
        self._ranges = RaggedColumns(np.uint64, np.float64, np.float64)

    def put(self, row: int, facets: Facets) -> None:
        """Sets a row's facets. Rows must be put in order the first time."""
        self._texts.put(row, np.array(facets.texts, np.uint64))
        self._ranges.put(
            row,
            np.array([item.name for item in facets.ranges], np.uint64),
            np.array([item.low for item in facets.ranges], np.float64),
            np.array([item.high for item in facets.ranges], np.float64),
        )

    def get(self, row: int) -> Facets:
        """Returns a row's facets."""
        (texts,) = self._texts.get(row)
        ranges = zip(*(column.tolist() for column in self._ranges.get(row)), strict=True)
        return Facets(tuple(texts.tolist()), tuple(NumberRange(*item) for item in ranges))

    def matches(self, condition: AttributeCondition, rows: int) -> Bools:
        """Which of the first `rows` rows meet a condition."""
        found = np.ones(rows, bool)
        if condition.texts:
            found &= self._with_texts(condition.name, condition.texts, rows)
        if condition.low is not None or condition.high is not None:
            found &= self._in_range(condition, rows)
        return found

    def _with_texts(self, name: str, texts: Iterable[str], rows: int) -> Bools:
        wanted = np.array([text_facet(name, text) for text in texts], np.uint64)
        return self._texts.marked(np.isin(self._texts.column(0), wanted), rows)

    def _in_range(self, condition: AttributeCondition, rows: int) -> Bools:
        chosen = self._ranges.column(0) == np.uint64(name_facet(condition.name))
        if condition.low is not None:
            chosen &= self._ranges.column(2) >= condition.low
        if condition.high is not None:
            chosen &= self._ranges.column(1) <= condition.high
        return self._ranges.marked(chosen, rows)
