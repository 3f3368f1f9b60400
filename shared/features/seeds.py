"""What stands for a person's interest: weights of what they bought and looked at. The same for serving and learning.

Numbers of events are those of `mercato.gateway.v1.UserEventType`.
"""

from __future__ import annotations

from collections.abc import Mapping

PURCHASE_HALF_LIFE_DAYS = 112.0
"""The same decay as in the matrix that neighbour weights are learnt from: they hold for exactly these inputs."""
INTEREST_HALF_LIFE_DAYS = 60.0
BROWSE_HALF_LIFE_DAYS, LEAST_BROWSE_WEIGHT = 1.0, 0.01
"""What a person looks at now says more than what they bought weeks ago, for a short time."""
PRODUCT_VIEW, CLICK, ADD_TO_CART, ADD_TO_WISH_LIST = 3, 6, 7, 11
BROWSE_WEIGHTS: Mapping[int, float] = {PRODUCT_VIEW: 0.2, CLICK: 0.2, ADD_TO_CART: 0.5, ADD_TO_WISH_LIST: 0.4}
CONTENT_SEEDS, CATEGORIES = 8, 10
