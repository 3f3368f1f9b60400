"""The transparent blend: a linear model of the log-odds that a person buys a product within four weeks.

One row of weights for products that the person bought before, one for products new to them; simpler rows for people
and products of whom less is known. Weights were fitted on weeks before the ones that quality is measured on, by
logistic regression on the head of the list; how, and what each feature is worth: docs/quality.md. A contribution is
weight × (value - mean), so an average value contributes nothing; the constant and the contributions sum to the score.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from shared.features import formulas
from shared.features.columns import Doubles, Mask
from shared.features.joined import Columns


@dataclass(frozen=True, slots=True)
class Term:
    """Weight of a feature and the mean of its values where it was fitted."""

    weight: float
    mean: float


@dataclass(frozen=True, slots=True)
class Row:
    """A linear model; the intercept belongs to raw values, not to centred ones."""

    intercept: float
    terms: Mapping[str, Term]

    @property
    def constant(self) -> float:
        """The score of a product with average values."""
        return self.intercept + sum(term.weight * term.mean for term in self.terms.values())


KNOWN = Row(
    -0.43865,
    {
        "own_baskets": Term(0.49359, -0.69908),
        "renewal": Term(0.64972, -3.10846),
        "repurchase": Term(0.12368, -1.67419),
        "momentum_7": Term(0.30463, -2.06717),
        "popularity_112": Term(0.06974, -4.44488),
        "activity": Term(0.31116, 1.70349),
    },
)
NEW = Row(
    -1.89852,
    {
        "neighbours": Term(1.01330, -3.32509),
        "leaf_demand": Term(0.15712, -8.07170),
        "interval": Term(0.45526, 3.26742),
        "trend": Term(0.46198, -0.43449),
        "activity": Term(0.08297, 1.18202),
    },
)
# Without any neighbour weight the row above would see only its floor; measured apart.
NEW_WITHOUT_NEIGHBOURS = Row(
    -3.904,
    {
        "popularity_56": Term(0.577, -4.4),
        "leaf_demand": Term(0.181, -8.07170),
        "interval": Term(0.723, 3.26742),
        "trend": Term(0.353, -0.43449),
        "activity": Term(0.372, 1.18202),
    },
)
# A person without purchases: what they look at, if they look at anything, then what sells.
UNKNOWN = Row(0.0, {"popularity_56": Term(1.0, -4.4), "neighbours": Term(0.5, np.log(formulas.NEIGHBOUR_FLOOR))})
# Not learnt: small and the same for everybody, so that new products get a place and a visit counts at once.
EVERYWHERE: dict[str, Term] = {
    "browsed": Term(1.0, 0.0),
    "cold_content": Term(1.5, 0.0),
    "freshness": Term(0.5, 0.0),
    "query": Term(12.0, 0.0),
}
# In a search relevance leads and the rest only moves near-equals.
PERSONAL_SHARE_IN_SEARCH = 0.25

FEATURES: dict[str, Callable[[Columns], Doubles]] = {
    "own_baskets": formulas.own_baskets,
    "renewal": formulas.renewal,
    "repurchase": formulas.repurchase,
    "momentum_7": formulas.momentum_7,
    "popularity_112": formulas.popularity_112,
    "popularity_56": formulas.popularity_56,
    "activity": formulas.activity,
    "neighbours": formulas.neighbours,
    "leaf_demand": formulas.leaf_demand,
    "interval": formulas.interval,
    "trend": formulas.trend,
    "browsed": formulas.browsed,
    "cold_content": formulas.cold_content,
    "freshness": formulas.freshness,
    "query": formulas.query,
}


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores `[C]`, and by feature its values and contributions `[C]`; a feature that does not apply contributes 0."""

    columns: Columns
    scores: Doubles
    values: dict[str, Doubles]
    contributions: dict[str, Doubles]


def score(columns: Columns) -> Scored:
    """Scores all candidates."""
    candidates = columns.candidates
    count = len(columns.own)
    values: dict[str, Doubles] = {}
    contributions: dict[str, Doubles] = {}
    scores = np.zeros(count)
    personal = PERSONAL_SHARE_IN_SEARCH if candidates.query_scores is not None else 1.0
    for row, mask in _rows(columns):
        if not mask.any():
            continue
        _add(contributions, "constant", np.where(mask, personal * row.constant, 0.0))
        for name, term in row.terms.items():
            if name not in values:
                values[name] = FEATURES[name](columns)
            part = personal * term.weight * (values[name] - term.mean)
            _add(contributions, name, np.where(mask, part, 0.0))
    for name, (value, part) in unlearnt(columns).items():
        values[name] = value
        _add(contributions, name, part)
    for part in contributions.values():
        scores += part
    return Scored(columns, scores, values, contributions)


def unlearnt(columns: Columns, learnt: Collection[str] = ()) -> dict[str, tuple[Doubles, Doubles]]:
    """Values and contributions of what no log has taught yet, where it is not 0; `learnt` features are left out."""
    found = {}
    for name, term in EVERYWHERE.items():
        if name not in learnt and (value := FEATURES[name](columns)).any():
            found[name] = (value, term.weight * value)
    return found


def _rows(columns: Columns) -> list[tuple[Row, Mask]]:
    if not columns.people.known.any():
        return [(UNKNOWN, np.ones(len(columns.own), dtype=np.bool_))]
    known = columns.known
    # The rows are comparable within one answer only when all new products are scored by the same one.
    has_neighbours = bool((columns.candidates.neighbour_scores > 0.0).any())
    return [(KNOWN, known), (NEW if has_neighbours else NEW_WITHOUT_NEIGHBOURS, ~known)]


def _add(contributions: dict[str, Doubles], name: str, part: Doubles) -> None:
    contributions[name] = contributions[name] + part if name in contributions else part
