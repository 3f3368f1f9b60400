from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ranking.diversity import spread
from services.ranking.domain import Placement, RankCommand, RankedCandidate, ReasonCode
from services.ranking.learned import Learned
from services.ranking.ports import LearnedRanker, Matrix, RankingRelease
from services.ranking.rank import Rank, Ranking
from shared.errors.base import Unavailable
from shared.features import blend
from shared.features.columns import Candidates, Channel, History, Statistics
from shared.triton.graphs import Graph

DAY, NOW = 86_400, 1_700_000_000.0


class Fixed:
    """One release for everybody, or none."""

    def __init__(self, statistics: Statistics | None, ranker: LearnedRanker | None = None) -> None:
        self.release = RankingRelease(statistics, ranker) if statistics is not None else None

    def of(self, tenant: str, release_id: str = "") -> RankingRelease | None:
        return self.release if release_id in ("", "r1") else None

    def held(self, tenant: str) -> list[str]:
        return ["r1"] if self.release is not None else []


def statistics(count: int = 6) -> Statistics:
    buyers = np.arange(1.0, count + 1)
    return Statistics(
        release_id="r1",
        positions={f"p{n}": n for n in range(count)},
        buyers_7d=buyers,
        buyers_28d=buyers * 3,
        buyers_56d=buyers * 5,
        buyers_112d=buyers * 8,
        repeat_interval_days=np.full(count, 20.0),
        repurchase_probabilities=np.full(count, 0.3),
        leaf_sizes={"Food > Milk": 40.0, "Food > Bread": 68.0},
        leaf_total=108.0,
        user_count=100,
        renewal=np.linspace(0.1, 0.6, 6).reshape(2, 3),
        renewal_count_edges=np.array([1.0]),
        renewal_day_edges=np.array([7.0, 30.0]),
    )


CATEGORIES = ("Food > Bread", "Food > Milk")


def candidates(count: int = 6, **columns: object) -> Candidates:
    values: dict[str, object] = {
        "product_ids": tuple(f"p{n}" for n in range(count)),
        "category_names": CATEGORIES,
        "categories": np.arange(count) % 2,
        "brand_names": ("B",),
        "brands": np.zeros(count, np.int64),
        "channel_masks": np.full(count, 1 << Channel.POPULAR | 1 << Channel.BOUGHT_TOGETHER),
        "neighbour_scores": np.linspace(0.0, 0.5, count),
        "neighbour_seeds": np.zeros(count, np.int64),
        "content_scores": np.zeros(count),
        "publish_times_s": np.zeros(count, np.int64),
        **columns,
    }
    return Candidates(**values)  # type: ignore[arg-type]


def history(rows: list[tuple[int, float]]) -> History:
    """Rows of product number and age in days, each a basket of its own, oldest first."""
    ordered = sorted(rows, key=lambda row: -row[1])
    products = sorted({number for number, _ in ordered})
    return History(
        product_ids=tuple(f"p{n}" for n in products),
        category_names=CATEGORIES,
        categories=np.array(products, np.int64) % 2,
        product_indexes=np.array([products.index(number) for number, _ in ordered]),
        times_s=np.array([int(NOW - age * DAY) for _, age in ordered]),
        baskets=np.arange(len(ordered)),
    )


def command(**fields: object) -> RankCommand:
    values: dict[str, object] = {
        "candidates": candidates(),
        "history": history([(1, 10.0), (1, 24.0), (1, 38.0), (3, 5.0)]),
        "now_s": NOW,
        "limit": 6,
        "seed_product_ids": ("p1",),
        **fields,
    }
    return RankCommand(**values)  # type: ignore[arg-type]


class Runner:
    """The score of a candidate is the logistic function of one feature's value; can be told to fail."""

    def __init__(self, place: int = 0) -> None:
        self.place = place
        self.failing = False
        self.rows: list[int] = []

    async def run(self, graph: Graph, inputs: Mapping[str, Matrix]) -> list[Matrix]:
        self.rows.append(len(inputs["features"]))
        if self.failing:
            raise Unavailable("triton")
        return [1.0 / (1.0 + np.exp(-inputs["features"][:, self.place : self.place + 1]))]


RANKER = LearnedRanker(
    graph=Graph("ranker", b"", (), ()),
    features=("neighbours", "popularity_56"),
    baseline=np.array([-3.0, 0.0], np.float32),
    groups={"bought together": (0,), "popularity": (1,)},
    weights=np.ones(1),
)


def ranking(
    statistics_: Statistics | None = None,
    ranker: LearnedRanker | None = None,
    runner: Runner | None = None,
    **fields: object,
) -> Ranking:
    use = Rank(Fixed(statistics_, ranker), Learned(runner or Runner()))
    return asyncio.run(use("default", command(**fields)))


def rank(statistics_: Statistics | None = None, **fields: object) -> list[RankedCandidate]:
    return ranking(statistics_, **fields).products  # type: ignore[arg-type]


def test_known_and_new_scores_by_hand() -> None:
    release, found = statistics(), {item.product_id: item for item in rank(statistics(), explain=True)}
    known = {item.feature: item.value for item in found["p1"].contributions}
    assert known["own_baskets"] == pytest.approx(math.log(sum(2 ** (-n / 25) for n in (1, 2, 3)) + 0.02))
    cell = release.renewal[1, 1]
    assert known["renewal"] == pytest.approx(math.log(cell / (1 - cell)))
    assert known["momentum_7"] == pytest.approx(math.log(3 / 17))
    new = {item.feature: item.value for item in found["p4"].contributions}
    assert new["neighbours"] == pytest.approx(math.log(0.4 + 0.01))
    assert new["leaf_demand"] == pytest.approx(math.log((0 + 0.3 * 68 / 108) * 25.5 / 68))
    assert new["trend"] == pytest.approx(math.log((15 + 3) / (20 + 3)))
    by_hand = blend.NEW.intercept + sum(blend.NEW.terms[name].weight * new[name] for name in blend.NEW.terms)
    assert found["p4"].score == pytest.approx(by_hand)


@pytest.mark.parametrize("release", [None, statistics()], ids=["no release", "release"])
@pytest.mark.parametrize("bought", [[], [(1, 10.0), (2, 3.0)]], ids=["unknown", "known"])
def test_contributions_sum_to_the_score(release: Statistics | None, bought: list[tuple[int, float]]) -> None:
    fields = {"history": replace(history(bought), browsed={"p5": NOW - 3600}) if bought else History()}
    for item in rank(release, explain=True, **fields):
        assert sum(part.contribution for part in item.contributions) == pytest.approx(item.score, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_candidates_does_not_matter(order: list[int]) -> None:
    base = candidates(neighbour_scores=np.array([0.1, 0.1, 0.3, 0.3, 0.2, 0.2]))
    shuffled = candidates(
        product_ids=tuple(base.product_ids[n] for n in order),
        categories=base.categories[order],
        neighbour_scores=base.neighbour_scores[order],
    )
    before = [item.product_id for item in rank(statistics(), candidates=base)]
    assert [item.product_id for item in rank(statistics(), candidates=shuffled)] == before


def test_an_unknown_person_sees_what_sells() -> None:
    fields = {"history": History(), "candidates": candidates(neighbour_scores=np.zeros(6))}
    found = rank(statistics(), **fields)
    assert [item.product_id for item in found] == ["p5", "p4", "p3", "p2", "p1", "p0"]
    assert found[0].reason.code is ReasonCode.POPULAR
    assert found[0].reason.text == "Popular in Milk"


def test_what_was_just_looked_at_counts() -> None:
    fields = {"candidates": candidates(neighbour_scores=np.zeros(6))}
    looked = rank(statistics(), history=History(browsed={"p0": NOW - 60}), **fields)
    assert [item.product_id for item in looked].index("p0") < 5
    bought_since = replace(history([(0, 0.001)]), browsed={"p0": NOW - 3600})
    with_interest = {i.product_id: i.score for i in rank(statistics(), history=bought_since, **fields)}
    without = {i.product_id: i.score for i in rank(statistics(), history=history([(0, 0.001)]), **fields)}
    assert with_interest["p0"] == without["p0"]


def test_rules() -> None:
    assert {item.product_id for item in rank(statistics(), only_new=True)} == {"p0", "p2", "p4", "p5"}
    assert {item.product_id for item in rank(statistics(), placement=Placement.DISCOVER)} == {"p0", "p2", "p4", "p5"}
    assert {item.product_id for item in rank(statistics(), placement=Placement.BUY_AGAIN)} == {"p1", "p3"}
    assert "p5" not in {item.product_id for item in rank(statistics(), excluded=frozenset({"p5"}))}
    assert len(rank(statistics(), limit=2)) == 2
    assert rank(statistics(), candidates=candidates(0)) == []


def test_reasons_are_sentences() -> None:
    found = {item.product_id: item for item in rank(statistics())}
    assert found["p1"].reason.text == "You buy this about every 14 days; the last time was 10 days ago"
    assert found["p1"].reason.code is ReasonCode.BUY_AGAIN_DUE
    assert found["p3"].reason.text == "You bought this 5 days ago"
    together = rank(statistics(), candidates=candidates(neighbour_scores=np.array([9.0, 0, 0, 0, 0, 0])))
    reason = next(item.reason for item in together if item.product_id == "p0")
    assert (reason.text, reason.related_product_id) == ("Bought by people with purchases like yours", "p1")


def test_a_new_product_has_a_place() -> None:
    fresh = candidates(
        product_ids=("p0", "p1", "p2", "p3", "p4", "n"),
        content_scores=np.array([0.9] * 6),
        publish_times_s=np.array([0, 0, 0, 0, 0, int(NOW) - DAY]),
        neighbour_scores=np.zeros(6),
    )
    found = rank(statistics(), candidates=fresh, explain=True)
    new = next(item for item in found if item.product_id == "n")
    assert {"cold_content", "freshness"} <= {part.feature for part in new.contributions}
    assert new.reason.code in (ReasonCode.SIMILAR, ReasonCode.NEW)


def test_a_search_follows_the_query() -> None:
    found = rank(statistics(), candidates=candidates(query_scores=np.array([1.0, 0.1, 0.5, 0.1, 0.1, 0.1])))
    assert [item.product_id for item in found][:2] == ["p0", "p2"]


def test_a_past_moment_can_be_replayed() -> None:
    later = history([(1, 10.0), (2, 1.0)])
    then = rank(statistics(), history=later, now_s=NOW - 5 * DAY, placement=Placement.BUY_AGAIN)
    assert [item.product_id for item in then] == ["p1"]


def shelved(leaves: list[str], brands: list[str]) -> Candidates:
    names, numbers = np.unique(leaves, return_inverse=True)
    brand_names, brand_numbers = np.unique(brands, return_inverse=True)
    return candidates(
        len(leaves),
        category_names=tuple(names.tolist()),
        categories=numbers.astype(np.int64),
        brand_names=tuple(brand_names.tolist()),
        brands=brand_numbers.astype(np.int64),
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.sampled_from("ABC"), st.sampled_from("xyz")), min_size=0, max_size=40),
    st.integers(1, 20),
    st.floats(0, 1),
)
def test_spreading_keeps_the_best_and_repeats_nothing(
    rows: list[tuple[float, str, str]], limit: int, diversity: float
) -> None:
    rows = sorted(rows, reverse=True)
    scores = np.array([row[0] for row in rows])
    alike = shelved([f"R > {row[1]}" for row in rows], [row[2] for row in rows])
    taken = spread(scores, np.arange(len(rows)), alike, limit, diversity)
    assert len(taken) == len(set(taken.tolist())) == min(limit, len(rows))
    if diversity == 0.0:
        assert taken.tolist() == list(range(len(taken)))
    elif len(taken) and diversity < 1.0:
        assert scores[taken[0]] == scores[0]


def test_spreading_mixes_categories() -> None:
    scores = np.array([1.0, 0.99, 0.98, 0.9, 0.0])
    alike = shelved(["R > A", "R > A", "R > A", "R > B", "R > C"], [""] * 5)
    assert spread(scores, np.arange(5), alike, 3, 0.5).tolist()[:2] == [0, 3]


def test_the_learned_ranker_orders_and_its_groups_explain() -> None:
    runner = Runner()
    found = ranking(statistics(), RANKER, runner, explain=True)
    assert (found.learned, found.release_id, found.fallback_cause) == (True, "r1", "")
    assert [item.product_id for item in found.products][:3] == ["p5", "p4", "p3"]  # by neighbours alone
    best = found.products[0]
    assert best.score == pytest.approx(math.log(0.5 + 0.01), abs=1e-4)
    parts = {part.feature: part.contribution for part in best.contributions}
    assert parts["bought together"] == pytest.approx(best.score + 3.0, abs=1e-4)  # to the usual value, -3
    assert "popularity" not in parts
    assert best.reason.code is ReasonCode.BOUGHT_TOGETHER
    assert runner.rows == [6, 6 * 3]  # all candidates, then the head as it is and without each group


def test_a_visit_counts_where_no_log_has_taught_it() -> None:
    visited = replace(history([(1, 10.0)]), browsed={"p0": NOW - 3600})
    before, after = ranking(statistics(), RANKER), ranking(statistics(), RANKER, history=visited)
    place = {item.product_id: item.score for item in before.products}
    assert {item.product_id: item.score - place[item.product_id] for item in after.products}["p0"] > 0.9


@pytest.mark.parametrize("query", [None, np.ones(6)], ids=["list", "search"])
def test_the_blend_orders_where_the_ranker_does_not(query: np.ndarray | None) -> None:
    runner = Runner()
    runner.failing = query is None
    found = ranking(statistics(), RANKER, runner, candidates=candidates(query_scores=query))
    plain = ranking(statistics(), candidates=candidates(query_scores=query))
    assert [item.product_id for item in found.products] == [item.product_id for item in plain.products]
    assert not found.learned
    assert bool(found.fallback_cause) == (query is None)


async def test_a_ranker_that_failed_is_left_alone_for_a_moment() -> None:
    runner = Runner()
    runner.failing = True
    use = Rank(Fixed(statistics(), RANKER), Learned(runner))
    assert (await use("default", command())).fallback_cause
    runner.failing = False
    again = await use("default", command())
    assert (again.learned, len(runner.rows)) == (False, 1)


def test_a_release_that_is_not_held_is_not_replaced_by_another() -> None:
    found = ranking(statistics(), RANKER, release_id="r2")
    assert (found.release_id, found.learned) == ("", False)


class Spender(Runner):
    """Also foretells amounts: the later the candidate, the less is spent on it."""

    async def run(self, graph: Graph, inputs: Mapping[str, Matrix]) -> list[Matrix]:
        scores = await super().run(graph, inputs)
        return [*scores, np.geomspace(1000.0, 1.0, len(inputs["features"]), dtype=np.float32)[:, None]]


FORETELLING = replace(RANKER, foretells_amounts=True)


def ids(found: Ranking) -> list[str]:
    return [item.product_id for item in found.products]


def test_amounts_change_nothing_unless_they_are_asked_for() -> None:
    plain, foretelling = ranking(statistics(), RANKER), ranking(statistics(), FORETELLING, Spender())
    weightless = ranking(statistics(), FORETELLING, Spender(), revenue_weight=0.0)
    for one in (foretelling, weightless):
        assert one.products == plain.products
        assert one.amount_cause == ""


def test_expected_revenue_is_probability_times_amount() -> None:
    found = ranking(statistics(), FORETELLING, Spender(), revenue_weight=1.0, explain=True)
    assert (found.learned, found.amount_cause) == (True, "")
    chances = {item.product_id: item.score for item in ranking(statistics(), RANKER).products}
    amounts = dict(zip([f"p{n}" for n in range(6)], np.geomspace(1000.0, 1.0, 6), strict=True))
    for item in found.products:
        chance = 1.0 / (1.0 + math.exp(-chances[item.product_id]))
        assert math.exp(item.score) == pytest.approx(chance * amounts[item.product_id], rel=1e-4)
        spent = next(part for part in item.contributions if part.feature == "amount")
        assert spent.value == pytest.approx(amounts[item.product_id], rel=1e-4)
    assert ids(found) != ids(ranking(statistics(), RANKER))
    half = ranking(statistics(), FORETELLING, Spender(), revenue_weight=0.5)
    whole = {item.product_id: item.score for item in found.products}
    for item in half.products:
        halved = 0.5 * math.log(amounts[item.product_id])
        assert item.score == pytest.approx(whole[item.product_id] - halved, rel=1e-4)


def test_clicks_and_carts_earn_nothing() -> None:
    """Their share in the score goes as the weight of revenue comes."""
    both = replace(FORETELLING, weights=np.array([1.0, 0.2]))
    np.testing.assert_array_equal(both.weights_for(0.0), both.weights)
    np.testing.assert_allclose(both.weights_for(1.0), [1.0, 0.0])
    np.testing.assert_allclose(replace(both, purchase=1).weights_for(0.5), [0.5, 0.6])


PRICES = np.array([50.0, 0.0, 1.0, 1.0, 1.0, 2.0])


@pytest.mark.parametrize("failing", [False, True], ids=["no head", "no Triton"])
def test_the_price_stands_in_where_no_amounts_are_foretold(failing: bool) -> None:
    runner = Runner()
    runner.failing = failing
    priced = candidates(prices=PRICES)
    found = ranking(statistics(), RANKER, runner, revenue_weight=1.0, candidates=priced)
    assert (found.learned, bool(found.fallback_cause)) == (not failing, failing)
    assert "price stands in" in found.amount_cause
    plain = ranking(statistics(), None if failing else RANKER, candidates=priced)
    chances = {item.product_id: 1.0 / (1.0 + math.exp(-item.score)) for item in plain.products}
    prices = dict(zip([f"p{n}" for n in range(6)], np.where(PRICES > 0, PRICES, 1.0), strict=True))  # the median: 1
    for item in found.products:
        assert math.exp(item.score) == pytest.approx(chances[item.product_id] * prices[item.product_id], rel=1e-4)


@pytest.mark.parametrize("prices", [None, np.zeros(6)], ids=["none", "unknown"])
def test_without_any_price_the_order_is_by_probability(prices: np.ndarray | None) -> None:
    found = ranking(statistics(), revenue_weight=1.0, candidates=candidates(prices=prices))
    assert ids(found) == ids(ranking(statistics()))
    assert "no price is known" in found.amount_cause


def test_a_search_does_not_sell() -> None:
    searched = candidates(query_scores=np.linspace(1.0, 0.0, 6), prices=PRICES)
    found = ranking(statistics(), FORETELLING, Spender(), candidates=searched, revenue_weight=1.0)
    assert found.products == ranking(statistics(), candidates=searched).products
    assert found.amount_cause == ""


def test_a_placement_has_a_weight_of_its_own() -> None:
    use = Rank(Fixed(statistics(), FORETELLING), Learned(Spender()), {Placement.CART: 1.0})
    by_place = {
        place: ids(asyncio.run(use("default", command(placement=place, diversity=0.0))))
        for place in (Placement.HOME, Placement.CART)
    }
    asked = ids(asyncio.run(use("default", command(placement=Placement.CART, diversity=0.0, revenue_weight=0.0))))
    assert by_place[Placement.HOME] == asked != by_place[Placement.CART]
