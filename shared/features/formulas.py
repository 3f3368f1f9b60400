"""Features of candidates: named pure functions over columns `[C]`. Natural logarithms, no further normalisation.

Why the blend uses the ones it does, and what each is worth: docs/quality.md.
"""

from __future__ import annotations

import numpy as np

from shared.features.columns import Channel, Doubles
from shared.features.joined import Columns
from shared.features.people import DAY_S, NEVER_DAYS

# Keep logarithms finite; each is far below what a single real observation adds.
COUNT_FLOOR, NEIGHBOUR_FLOOR, BASKET_FLOOR, LEAF_PRIOR, TREND_PRIOR = 0.02, 0.01, 0.5, 0.3, 3.0
DEFAULT_INTERVAL_DAYS, DEFAULT_REPURCHASE, DEFAULT_RENEWAL = 30.0, 0.1, 0.05
BROWSE_HALF_LIFE_DAYS, NEW_DAYS = 0.5, 30.0
# How many gaps of the product's own interval a person's own gaps are pulled towards.
INTERVAL_PRIOR_GAPS = 2.0
# How many baskets the share of baskets with a product, and how many purchases a share of firsts, is pulled towards.
RATE_PRIOR_BASKETS, FIRSTS_PRIOR = 3.0, 5.0
UNKNOWN_PEOPLE_SHARE = 0.5


def known(columns: Columns) -> Doubles:
    """1 for products bought before."""
    return columns.known.astype(np.float64)


def own_baskets(columns: Columns) -> Doubles:
    """How often, in the person's own baskets lately: ln(sum of 2^(-baskets since / 25) + .02)."""
    return _log(columns.pair("by_basket", 0.0) + COUNT_FLOOR)


def own_count(columns: Columns) -> Doubles:
    """ln(purchases of it by the person + 1)."""
    return np.log1p(columns.pair("counts", 0.0))


def own_decayed(columns: Columns) -> Doubles:
    """ln(sum of 2^(-age / 112 days) + .02)."""
    return _log(columns.pair("decayed", 0.0) + COUNT_FLOOR)


def own_decayed_short(columns: Columns) -> Doubles:
    """ln(sum of 2^(-age / 28 days) + .02)."""
    return _log(columns.pair("decayed_short", 0.0) + COUNT_FLOOR)


def own_days(columns: Columns) -> Doubles:
    """ln(days since the person bought it + 1)."""
    return np.log1p(columns.pair("last_days", NEVER_DAYS))


def own_baskets_since(columns: Columns) -> Doubles:
    """ln(baskets of the person since it was last in one + 1)."""
    return np.log1p(columns.pair("baskets_since_last", NEVER_DAYS))


def own_rate(columns: Columns) -> Doubles:
    """ln of the share of baskets with it since it was first bought, pulled down by three baskets."""
    baskets = columns.pair("baskets_since_first", NEVER_DAYS) + 1.0 + RATE_PRIOR_BASKETS
    return _log((columns.pair("counts", 0.0) + COUNT_FLOOR) / baskets)


def own_interval(columns: Columns) -> Doubles:
    """ln(days between the person's purchases of it), pulled towards the product's interval with two gaps."""
    return _log(_own_interval_days(columns))


def own_due(columns: Columns) -> Doubles:
    """ln(days since the last purchase / mean of the person's intervals): 0 when it is time again, and if not bought.

    After a single purchase the product's interval stands for the person's.
    """
    gaps = columns.pair("counts", 0.0) - 1.0
    own = columns.pair("span_days", 0.0) / np.maximum(gaps, 1.0)
    every = np.maximum(np.where(gaps > 0.0, own, _interval_days(columns)), 1.0)
    days = np.maximum(columns.pair("last_days", NEVER_DAYS), 0.5)
    return np.where(columns.known, np.log(days / every), 0.0)


def renewal(columns: Columns) -> Doubles:
    """Whether it is time again: logit of the renewal table at (decayed count, days since the last purchase)."""
    if columns.statistics is None or not columns.statistics.renewal.size:
        return np.full(len(columns.own), _logit(np.array(DEFAULT_RENEWAL)))
    statistics = columns.statistics
    rows = np.searchsorted(statistics.renewal_count_edges, columns.pair("decayed", 0.0))
    cells = np.searchsorted(statistics.renewal_day_edges, columns.pair("last_days", NEVER_DAYS))
    return _logit(statistics.renewal[rows, cells])


def repurchase(columns: Columns) -> Doubles:
    """How repeatable the product is for everybody: logit of its 28-day repurchase probability."""
    return _logit(columns.statistic("repurchase_probabilities", DEFAULT_REPURCHASE))


def interval(columns: Columns) -> Doubles:
    """ln(days between purchases of it by one person): what is bought often is bought already."""
    return _log(_interval_days(columns))


def momentum_7(columns: Columns) -> Doubles:
    """What sells this week: ln((buyers of 7 days + 1) / (buyers of 112 days + 1))."""
    return _log((columns.statistic("buyers_7d", 0) + 1) / (columns.statistic("buyers_112d", 0) + 1))


def popularity_7(columns: Columns) -> Doubles:
    """ln((buyers of 7 days + 1) / people)."""
    return _popularity(columns, "buyers_7d")


def popularity_28(columns: Columns) -> Doubles:
    """ln((buyers of 28 days + 1) / people)."""
    return _popularity(columns, "buyers_28d")


def popularity_56(columns: Columns) -> Doubles:
    """ln((buyers of 56 days + 1) / people)."""
    return _popularity(columns, "buyers_56d")


def popularity_112(columns: Columns) -> Doubles:
    """ln((buyers of 112 days + 1) / people)."""
    return _popularity(columns, "buyers_112d")


def trend(columns: Columns) -> Doubles:
    """ln((buyers of 28 days + 3) / (half the buyers of 112 days + 3))."""
    half = columns.statistic("buyers_112d", 0) / 2.0
    return _log((columns.statistic("buyers_28d", 0) + TREND_PRIOR) / (half + TREND_PRIOR))


def neighbours(columns: Columns) -> Doubles:
    """Bought by people with the same purchases: ln(max(0, sum of neighbour weights) + .01)."""
    return _log(np.maximum(columns.candidates.neighbour_scores, 0.0) + NEIGHBOUR_FLOOR)


def neighbours_place(columns: Columns) -> Doubles:
    """ln(1 + candidates with a higher sum of neighbour weights), among those bought before or those that are new."""
    return np.log1p(_places(columns, columns.candidates.neighbour_scores))


def behaviour(columns: Columns) -> Doubles:
    """Inner product of the behaviour model's vectors of person and product; 0 without the model."""
    scores = columns.candidates.behaviour_scores
    return np.zeros(len(columns.own)) if scores is None else scores


def behaviour_place(columns: Columns) -> Doubles:
    """ln(1 + candidates that the behaviour model puts before it), as in `neighbours_place`; 0 without the model."""
    scores = columns.candidates.behaviour_scores
    return np.zeros(len(columns.own)) if scores is None else np.log1p(_places(columns, scores))


def leaf_demand(columns: Columns) -> Doubles:
    """The person's share of its leaf category, handed down to the product by its share of the leaf's buyers."""
    buyers = columns.statistic("buyers_56d", 0) + 0.5
    if columns.statistics is None or columns.statistics.leaf_total <= 0.0:
        return np.full(len(buyers), float(np.log(LEAF_PRIOR * 1e-3)))
    size = columns.leaf_sizes
    share = LEAF_PRIOR * size / columns.statistics.leaf_total
    return _log((_leaf_share(columns) + share) * buyers / np.maximum(size, buyers))


def leaf_interest(columns: Columns) -> Doubles:
    """ln(share of the leaf category in the person's purchases, half-life 60 days, + .001)."""
    return _log(_leaf_share(columns) + 1e-3)


def leaf_days(columns: Columns) -> Doubles:
    """ln(days since the person bought anything of the leaf category + 1)."""
    return np.log1p(columns.leaf("last_days", NEVER_DAYS))


def leaf_due(columns: Columns) -> Doubles:
    """ln(days since the person bought of the leaf / days between such purchases); 0 for leaves not bought."""
    gaps = columns.leaf("span_days", 0.0) + INTERVAL_PRIOR_GAPS * DEFAULT_INTERVAL_DAYS
    every = gaps / (np.maximum(columns.leaf("counts", 0.0) - 1.0, 0.0) + INTERVAL_PRIOR_GAPS)
    ratio = (columns.leaf("last_days", NEVER_DAYS) + 0.5) / np.maximum(every, 1.0)
    return np.where(columns.own_leaves >= 0, np.log(ratio), 0.0)


def leaf_variety(columns: Columns) -> Doubles:
    """Whether the person tries other products of the leaf: ln(distinct products / purchases) there; 0 for none."""
    products, counts = columns.leaf("products", 1.0), columns.leaf("counts", 1.0)
    return _log((products + 1.0) / (counts + 1.0))


def leaf_products(columns: Columns) -> Doubles:
    """ln(distinct products of the leaf that the person bought + 1)."""
    return np.log1p(columns.leaf("products", 0.0))


def leaf_place(columns: Columns) -> Doubles:
    """ln of the product's share of its leaf's buyers."""
    buyers = columns.statistic("buyers_56d", 0) + 0.5
    return _log(buyers / np.maximum(columns.leaf_sizes, buyers))


def activity(columns: Columns) -> Doubles:
    """How busy the person is: ln(baskets of 28 days + .5); equal for all candidates."""
    return _log(columns.total("baskets_28d") + BASKET_FLOOR)


def basket_size(columns: Columns) -> Doubles:
    """ln(products a basket of the person)."""
    return _log((columns.total("counts") + 1.0) / (columns.total("baskets") + 1.0))


def visit_days(columns: Columns) -> Doubles:
    """ln(days since the person's last basket + 1)."""
    return np.log1p(columns.total("last_days"))


def history_days(columns: Columns) -> Doubles:
    """ln(days since the person's first basket + 1): how much is known."""
    return np.asarray(np.log1p(np.where(columns.total("counts") > 0.0, columns.total("first_days"), 0.0)))


def curiosity(columns: Columns) -> Doubles:
    """Share of first purchases among the person's purchases of 28 days, pulled towards one half by five."""
    firsts = columns.total("first_times_28d") + FIRSTS_PRIOR * UNKNOWN_PEOPLE_SHARE
    return np.asarray(firsts / (columns.total("counts_28d") + FIRSTS_PRIOR))


def item_days(columns: Columns) -> Doubles:
    """ln(days since the shop began to sell it + 1); 0 when not known."""
    times = columns.candidates.publish_times_s
    return np.where(times > 0, np.log1p(np.maximum(columns.now_s - times, 0.0) / DAY_S), 0.0)


def price(columns: Columns) -> Doubles:
    """ln(price + 1); 0 when not known."""
    prices = columns.candidates.prices
    return np.zeros(len(columns.own)) if prices is None else np.log1p(np.maximum(prices, 0.0))


def content(columns: Columns) -> Doubles:
    """Closeness of its text to what the person liked lately (`shared.features.content`); 0 when not known."""
    return columns.candidates.content_scores


def cold_content(columns: Columns) -> Doubles:
    """The same for products that nobody bought yet; 0 for others."""
    return np.where(columns.items < 0, np.maximum(columns.candidates.content_scores, 0.0), 0.0)


def freshness(columns: Columns) -> Doubles:
    """1 for a product that nobody bought yet and that came into the shop within 30 days, falling to 0; 0 for others."""
    ages = (columns.now_s - columns.candidates.publish_times_s) / DAY_S
    fresh = np.clip(1.0 - ages / NEW_DAYS, 0.0, 1.0)
    return np.where((columns.items < 0) & (columns.candidates.publish_times_s > 0), fresh, 0.0)


def browsed(columns: Columns) -> Doubles:
    """2^(-half days since the person last viewed, clicked or carted it); 0: not lately, or bought since."""
    ages = np.maximum(columns.now_s - columns.browsed_s, 0.0) / DAY_S
    value = np.where(columns.browsed_s > 0.0, 2.0 ** (-ages / BROWSE_HALF_LIFE_DAYS), 0.0)
    return np.where(columns.known & (columns.pair("last_days", np.inf) <= ages), 0.0, value)


def channel(columns: Columns, which: Channel) -> Doubles:
    """1 where the channel brought the candidate."""
    return (columns.candidates.channel_masks >> int(which) & 1).astype(np.float64)


def query(columns: Columns) -> Doubles:
    """Relevance to the query, from 0 to 1; 0 without a query."""
    scores = columns.candidates.query_scores
    return np.zeros(len(columns.own)) if scores is None else scores


def _people(columns: Columns) -> int:
    return max(columns.statistics.user_count, 1) if columns.statistics is not None else 1


def _popularity(columns: Columns, name: str) -> Doubles:
    return _log((columns.statistic(name, 0) + 1) / _people(columns))


def _interval_days(columns: Columns) -> Doubles:
    return np.asarray(np.maximum(columns.statistic("repeat_interval_days", DEFAULT_INTERVAL_DAYS), 1.0))


def _own_interval_days(columns: Columns) -> Doubles:
    gaps = np.maximum(columns.pair("counts", 0.0) - 1.0, 0.0)
    own = columns.pair("span_days", 0.0) + INTERVAL_PRIOR_GAPS * _interval_days(columns)
    return np.asarray(np.maximum(own / (gaps + INTERVAL_PRIOR_GAPS), 1.0))


def _leaf_share(columns: Columns) -> Doubles:
    return np.asarray(columns.leaf("interests", 0.0) / np.maximum(columns.total("interests"), 1e-12))


def _places(columns: Columns, scores: Doubles) -> Doubles:
    """How many candidates stand before it `[C]`: of the same person, and bought before or new as it is.

    Highest score first; equal scores in the order of the candidates.
    """
    groups = columns.persons * 2 + columns.known
    order = np.lexsort((-scores, groups))
    ordered = groups[order]
    places = np.empty(len(order))
    places[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return places


def _log(values: Doubles) -> Doubles:
    return np.asarray(np.log(values), dtype=np.float64)


def _logit(probability: Doubles) -> Doubles:
    clipped = np.clip(probability, 1e-4, 1.0 - 1e-4)
    return _log(clipped / (1.0 - clipped))
