"""Whether people come to the arms of an experiment in the shares that were meant, at every look.

A sequential multinomial test with a Dirichlet prior around the shares t (Lindon & Malek 2022, "Anytime-valid inference
for multinomial count data", NeurIPS): with n people of which n_i came to arm i,

    E = Gamma(k) / Gamma(k + n) · prod over arms of  Gamma(k t_i + n_i) / (Gamma(k t_i) · t_i^n_i)

is a martingale when the shares are as meant, so P(E ever >= 1 / p) <= p. A mismatch means that something loses people
of one arm (an error, a slow page, lost events), and then no other figure can be believed (Fabijan et al. 2019).

Legend: N people, A arms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

PRIOR_STRENGTH = 100.0
"""How many people the prior counts for: it sees shares that are off by a tenth soon, and smaller ones in time."""


def lowest_p(arms_N: npt.NDArray[np.int64], shares: Sequence[float], strength: float = PRIOR_STRENGTH) -> float:
    """The lowest p-value at any look; `arms_N` is where people came, in turn.

    >>> lowest_p(np.arange(10_000) % 2, [0.5, 0.5]) > 0.5
    True
    >>> lowest_p(np.minimum(np.arange(10_000) % 11, 1), [1 / 11, 10 / 11]) > 0.5
    True
    >>> lowest_p(np.minimum(np.arange(10_000) % 11 % 5, 1), [0.2, 0.8]) < 1e-3
    True
    """
    meant_A = np.asarray(shares, dtype=np.float64)
    if len(meant_A) < 2 or (meant_A <= 0).any():
        raise ValueError("shares must be of two or more arms, each > 0")
    if not len(arms_N):
        return 1.0
    meant_A = meant_A / meant_A.sum()
    counts_NA = np.cumsum(arms_N[:, None] == np.arange(len(meant_A)), axis=0, dtype=np.float64)
    prior_A, totals_N = strength * meant_A, np.arange(1.0, len(arms_N) + 1.0)
    log_e_N = special.gammaln(strength) - special.gammaln(strength + totals_N)
    parts_NA = special.gammaln(prior_A + counts_NA) - special.gammaln(prior_A) - counts_NA * np.log(meant_A)
    return float(min(np.exp(-(log_e_N + parts_NA.sum(axis=1)).max()), 1.0))
