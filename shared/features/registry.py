"""The features of the learned ranker in their order: what each is called, what it belongs to, how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from shared.features import formulas
from shared.features.columns import Channel, Doubles
from shared.features.joined import Columns

Formula = Callable[[Columns], Doubles]

# By group: features of a group are taken away, and explained, together.
_FORMULAS: Mapping[str, Sequence[Formula]] = {
    "buy again": (
        formulas.known,
        formulas.own_baskets,
        formulas.own_count,
        formulas.own_decayed,
        formulas.own_decayed_short,
        formulas.own_days,
        formulas.own_baskets_since,
        formulas.own_rate,
        formulas.own_interval,
        formulas.own_due,
        formulas.renewal,
        formulas.repurchase,
        formulas.interval,
    ),
    "bought together": (formulas.neighbours, formulas.neighbours_place),
    "behaviour": (formulas.behaviour, formulas.behaviour_place),
    "interest": (
        formulas.leaf_demand,
        formulas.leaf_interest,
        formulas.leaf_days,
        formulas.leaf_due,
        formulas.leaf_variety,
        formulas.leaf_products,
        formulas.browsed,
    ),
    "popularity": (
        formulas.popularity_7,
        formulas.popularity_28,
        formulas.popularity_56,
        formulas.popularity_112,
        formulas.momentum_7,
        formulas.trend,
        formulas.leaf_place,
    ),
    "person": (
        formulas.activity,
        formulas.basket_size,
        formulas.visit_days,
        formulas.history_days,
        formulas.curiosity,
    ),
    "content": (formulas.content, formulas.cold_content, formulas.price),
    "new": (formulas.item_days, formulas.freshness),
}
# What a channel's bit is evidence of.
_CHANNELS: Mapping[Channel, str] = {
    Channel.BUY_AGAIN: "buy again",
    Channel.SIMILAR_TO_RECENT: "content",
    Channel.BOUGHT_TOGETHER: "bought together",
    Channel.TRENDING: "popularity",
    Channel.NEW: "new",
    Channel.POPULAR_IN_CATEGORY: "interest",
    Channel.POPULAR: "popularity",
    Channel.BEHAVIOUR: "behaviour",
}


def _bit(channel: Channel) -> str:
    return f"channel_{channel.name.lower()}"


FEATURES: Mapping[str, Formula] = {
    **{formula.__name__: formula for members in _FORMULAS.values() for formula in members},
    **{_bit(channel): partial(formulas.channel, which=channel) for channel in _CHANNELS},
}
GROUPS: Mapping[str, tuple[str, ...]] = {
    group: (
        *(formula.__name__ for formula in members),
        *(_bit(channel) for channel, owner in _CHANNELS.items() if owner == group),
    )
    for group, members in _FORMULAS.items()
}


def matrix(columns: Columns, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """The named features `[C, F]`. Raises KeyError for an unknown name."""
    chosen = [FEATURES[name] for name in names]
    values = np.empty((len(columns.own), len(chosen)), np.float32)
    for place, formula in enumerate(chosen):
        values[:, place] = formula(columns)
    return values
