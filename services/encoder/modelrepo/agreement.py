"""How well two models agree on the same texts. N texts, Q queries, D components; rows are unit vectors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of a variant with the reference.

    ``cosine_*``: cosine of each text's two vectors. ``pearson``: correlation of all query-text similarities of the
    variant with those of the reference. ``recall_at_10``: share of the reference's ten nearest texts of a query
    that are among the variant's ten. ``top_1``: share of queries with the same nearest text.
    """

    cosine_mean: float
    cosine_min: float
    pearson: float
    recall_at_10: float
    top_1: float


def agreement(reference: tuple[Vectors, Vectors], variant: tuple[Vectors, Vectors]) -> Agreement:
    """Each pair: vectors of the texts [N, D] and of the queries [Q, D].

    >>> same = np.eye(12, dtype=np.float32)
    >>> agreement((same, same[:2]), (same, same[:2]))
    Agreement(cosine_mean=1.0, cosine_min=1.0, pearson=1.0, recall_at_10=1.0, top_1=1.0)
    """
    cosine_N = (reference[0] * variant[0]).sum(1)
    wanted_QN, got_QN = reference[1] @ reference[0].T, variant[1] @ variant[0].T
    wanted_QK, got_QK = _nearest(wanted_QN, 10), _nearest(got_QN, 10)
    shared = [len(set(a) & set(b)) / len(a) for a, b in zip(wanted_QK.tolist(), got_QK.tolist(), strict=True)]
    return Agreement(
        cosine_mean=float(cosine_N.mean()),
        cosine_min=float(cosine_N.min()),
        pearson=round(float(np.corrcoef(wanted_QN.ravel(), got_QN.ravel())[0, 1]), 6),
        recall_at_10=float(np.mean(shared)),
        top_1=float((wanted_QK[:, 0] == got_QK[:, 0]).mean()),
    )


def _nearest(similarity_QN: Vectors, count: int) -> NDArray[np.int64]:
    """Indices of the most similar texts, best first; ties by index."""
    order: NDArray[np.int64] = np.argsort(-similarity_QN, axis=1, kind="stable")[:, :count]
    return order
