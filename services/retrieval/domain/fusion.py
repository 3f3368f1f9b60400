"""Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RRF_K = 60
"""The paper's constant: how little the first ranks differ."""


def fuse(rankings: Iterable[Sequence[str]]) -> dict[str, float]:
    """Scores by item, best first: the sum of 1/(60 + rank) over rankings; of equals, the one that came first.

    >>> fuse([["a", "b"], ["b"]])
    {'b': 0.03252247488101534, 'a': 0.01639344262295082}
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (RRF_K + rank)
    return dict(sorted(scores.items(), key=lambda pair: -pair[1]))
