"""Types of the arrays that measures take and give.

Legend of the package: U users, K places of a list, P products, N rows, C categories, D components.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NOTHING = -1
"""Stands in a list of product numbers where the list is shorter than its row."""


def finite(name: str, values: npt.ArrayLike) -> Doubles:
    """The values as float64. Raises ValueError that names the first value that is not finite."""
    array = np.asarray(values, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(map(str, bad[0].tolist()))
        raise ValueError(f"{name}[{place}] is {array[tuple(bad[0])]}: must be finite")
    return array
