"""How well scores order what people then bought: the measure by which models are chosen and releases are let in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from services.trainer.domain import Longs
from services.trainer.ranker.data_set import RankerData, Task
from shared.evaluation.ranking import ndcg
from shared.features import blend
from shared.features.columns import Doubles

HEAD = 10


def person_ndcg(data: RankerData, scores: npt.NDArray[np.floating[Any]], only_new: bool) -> tuple[Longs, Doubles]:
    """Persons who bought anything after the cut, and nDCG@10 of each.

    What no candidate stands for counts as missed. `only_new`: products bought before are neither listed nor wanted.
    Ties go to the earlier example.
    """
    wanted = data.wanted_new if only_new else data.wanted
    head, persons, places = _heads(data, scores, only_new)
    hits_UK = np.zeros((len(data.users), HEAD))
    hits_UK[persons, places] = data.labels[head, Task.PURCHASE]
    asked = np.flatnonzero(wanted > 0)
    return asked, ndcg(hits_UK[asked], wanted[asked], HEAD)


def person_revenue(data: RankerData, scores: npt.NDArray[np.floating[Any]], only_new: bool) -> tuple[Longs, Doubles]:
    """Persons who bought anything after the cut, and revenue@10 of each: what they paid for the first ten products.

    In units of the shop's currency; what was paid at a price that is not known counts 0.
    """
    head, persons, _ = _heads(data, scores, only_new)
    paid = np.bincount(persons, np.nan_to_num(data.amounts[head]).astype(np.float64), minlength=len(data.users))
    wanted = data.wanted_new if only_new else data.wanted
    asked = np.flatnonzero(wanted > 0)
    return asked, np.asarray(paid[asked], np.float64)


def _heads(data: RankerData, scores: npt.NDArray[np.floating[Any]], only_new: bool) -> tuple[Longs, Longs, Longs]:
    """Examples that stand in the first ten, with their persons and places."""
    listed = np.flatnonzero(~data.known) if only_new else np.arange(len(data))
    order = listed[np.lexsort((listed, -scores[listed], data.persons[listed]))]
    persons = data.persons[order]
    places = np.arange(len(order)) - np.searchsorted(persons, persons)
    head = places < HEAD
    return order[head], persons[head], places[head]


def blend_scores(data: RankerData) -> Doubles:
    """The hand-fitted blend on the same examples: what a learned ranker must beat `[N]`.

    Raises ValueError when the examples lack one of its features.
    """
    scores = {}
    for row in (blend.KNOWN, blend.NEW):
        columns = [data.features[:, data.names.index(name)] for name in row.terms]
        weights = [term.weight for term in row.terms.values()]
        scores[id(row)] = row.intercept + np.stack(columns, axis=1).astype(np.float64) @ np.array(weights)
    return np.where(data.known, scores[id(blend.KNOWN)], scores[id(blend.NEW)])


def area_under_curve(scores: npt.NDArray[np.floating[Any]], outcomes: npt.NDArray[Any]) -> float:
    """Probability that a product which was bought scores higher than one that was not; 0.5 where one kind is absent."""
    hits = outcomes > 0
    positive, negative = int(hits.sum()), int((~hits).sum())
    if not positive or not negative:
        return 0.5
    ranks = rankdata(scores)
    return float((ranks[hits].sum() - positive * (positive + 1) / 2) / (positive * negative))
