"""Which candidates may be shown at all."""

from __future__ import annotations

import numpy as np

from services.ranking.domain import Placement, RankCommand
from shared.features.columns import Mask


def allowed(command: RankCommand, bought: Mask) -> Mask:
    """True where a candidate may be shown `[C]`.

    The cart, the product on screen and what the caller excludes never; DISCOVER and `only_new` only what was not
    bought, BUY_AGAIN only what was.
    """
    ids = command.candidates.product_ids
    mask = np.fromiter((product_id not in command.excluded for product_id in ids), np.bool_, len(ids))
    if command.only_new or command.placement is Placement.DISCOVER:
        mask &= ~bought
    if command.placement is Placement.BUY_AGAIN:
        mask &= bought
    return mask
