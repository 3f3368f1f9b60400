"""What stands in for missing stages, and how long what is remembered may be used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mercato.catalog.v1 import catalog_service_pb2
from mercato.gateway.v1 import product_pb2, recommendation_pb2
from mercato.profile.v1 import profile_features_pb2, profile_service_pb2
from mercato.retrieval.v1 import candidates_pb2
from mercato.trainer.v1 import trainer_service_pb2

from services.gateway.hydration import Hydrator
from services.gateway.ladder import Wanted, by_retrieval, from_lists, popular, similar_from_lists
from services.gateway.lists import ReleaseLists, _lists
from services.gateway.profiles import Profiles, Remembering
from services.gateway.remembered_search import RememberedSearch, WordIndex
from services.gateway.seeds import Seeds
from services.gateway.stages import Stages
from shared.context.request import use_tenant
from shared.errors.base import InvalidArgument, Unavailable, Violation

LISTS = ReleaseLists(
    "r1",
    popular=("tea", "milk", "bread", "jam"),
    neighbours={"bread": (("jam", 0.9), ("butter", 0.4))},
    popular_in={"Food": ("bread", "jam"), "Drinks": ("tea", "milk"), "Shop": ("tea", "milk", "bread", "jam")},
)
SEEDS = Seeds(product_ids=("bread", "soap"), weights=(1.0, 0.2), purchased=("bread",))
ANYTHING = Wanted(excluded=())
CATALOG, PROFILE = recommendation_pb2.STAGE_CATALOG, recommendation_pb2.STAGE_PROFILE


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Service:
    """Catalogue and profile: answers what it was given, or that it is away."""

    def __init__(self) -> None:
        self.products: dict[str, product_pb2.Product] = {}
        self.features: dict[str, profile_features_pb2.ProfileFeatures] = {}
        self.error: Exception | None = None

    async def BatchGetProducts(
        self, request: catalog_service_pb2.BatchGetProductsRequest
    ) -> catalog_service_pb2.BatchGetProductsResponse:
        self._check()
        found = [self.products[one] for one in request.product_ids if one in self.products]
        return catalog_service_pb2.BatchGetProductsResponse(products=found)

    async def GetProfileFeatures(
        self, request: profile_service_pb2.GetProfileFeaturesRequest
    ) -> profile_service_pb2.GetProfileFeaturesResponse:
        self._check()
        features = self.features.get(request.user_id or request.visitor_id)
        return profile_service_pb2.GetProfileFeaturesResponse(features=features)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> Service:
    return Service()


def product(product_id: str, title: str, *path: str) -> product_pb2.Product:
    return product_pb2.Product(product_id=product_id, title=title, category_path=path)


def ids(ranked: list[Any]) -> list[str]:
    return [one.product_id for one in ranked]


def test_without_a_ranking_the_signals_of_retrieval_order() -> None:
    columns = candidates_pb2.CandidateColumns(
        product_ids=["a", "b", "bread", "tea", "z"],
        channel_masks=[1 << 5, 1 << 3, 1 << 1 | 1 << 3, 1 << 9, 1 << 5],
        neighbour_scores=[0.0, 0.9, 0.8, 0.0, 0.0],
        content_scores=[0.0, 0.9, 0.0, 0.0, 0.5],
    )
    ranked = by_retrieval(columns, SEEDS, LISTS, ANYTHING)
    assert ids(ranked) == ["bread", "b", "z", "tea", "a"] or ids(ranked) == ["bread", "b", "tea", "z", "a"]
    assert ranked[0].channels == (recommendation_pb2.CHANNEL_BUY_AGAIN, recommendation_pb2.CHANNEL_BOUGHT_TOGETHER)
    assert ids(by_retrieval(columns, SEEDS, LISTS, Wanted(excluded={"bread", "z"}))) == ["b", "tea", "a"]
    assert by_retrieval(candidates_pb2.CandidateColumns(), SEEDS, LISTS, ANYTHING) == []


def test_without_retrieval_lists_in_memory_answer() -> None:
    assert ids(from_lists(SEEDS, LISTS, ANYTHING)) == ["bread", "jam", "butter", "tea", "milk"]
    assert ids(from_lists(SEEDS, LISTS, Wanted(excluded={"bread"}, categories=["Drinks"])))[-2:] == ["tea", "milk"]
    assert ids(from_lists(SEEDS, LISTS, Wanted(excluded=(), only=frozenset({"bread"})))) == ["bread"]
    assert ids(from_lists(Seeds(), LISTS, ANYTHING)) == list(LISTS.popular)
    assert popular(LISTS, ["Food", "Drinks"]) == ["bread", "tea", "jam", "milk"]
    assert popular(LISTS, ["Nothing"]) == []


def test_products_like_one_are_neighbours_then_what_sells_in_its_categories() -> None:
    assert ids(similar_from_lists("bread", ["Shop", "Food"], LISTS)) == ["jam", "butter", "tea", "milk"]
    assert ids(similar_from_lists("new", ["Shop", "Food"], LISTS)) == ["bread", "jam", "tea", "milk"]
    assert similar_from_lists("new", [], LISTS) == []


def test_popular_products_of_each_category_come_from_the_release() -> None:
    parts = [
        trainer_service_pb2.ReadItemStatisticsResponse(
            product_ids=["a", "b"], buyers_56d=[1, 5], leaf_indexes=[0, 1], leaves=["Shop > Food", "Shop > Drinks", ""]
        ),
        trainer_service_pb2.ReadItemStatisticsResponse(product_ids=["c", "d"], buyers_56d=[3, 9], leaf_indexes=[0, 2]),
    ]
    lists = _lists("r1", parts, [], encodes_behaviour=False)
    assert lists.popular == ("d", "b", "c", "a")
    assert lists.popular_in == {"Shop": ("b", "c", "a"), "Food": ("c", "a"), "Drinks": ("b",)}


async def test_products_are_remembered_until_they_are_too_old_and_deletions_for_good(
    service: Service, clock: Clock
) -> None:
    hydrator = Hydrator(service, 10, 60.0, clock)  # type: ignore[arg-type]
    service.products = {one: product(one, f"Title of {one}") for one in ("a", "b")}
    with use_tenant("shop"):
        await hydrator.read(["a", "b", "gone"], Stages(), 1.0)
        service.error = Unavailable("catalog")
        clock.now += 30
        stages = Stages()
        found = await hydrator.read(["a", "gone", "never-seen"], stages, 1.0)
        assert {one: item.title for one, item in found.items()} == {"a": "Title of a", "never-seen": ""}
        assert stages.missing[0].stage == CATALOG
        assert stages.missing[0].substitute == recommendation_pb2.SUBSTITUTE_REMEMBERED_PRODUCTS
        assert stages.missing[0].age.seconds == 30
        assert len(hydrator.remembered("shop")) == 2
        assert hydrator.remembered("another") == []
        clock.now += 31
        stages = Stages()
        found = await hydrator.read(["a", "gone"], stages, 1.0)
        assert {one: item.title for one, item in found.items()} == {"a": ""}, "its price may be wrong: the id alone"
        assert not stages.missing[0].HasField("age")
        assert hydrator.remembered("shop") == []


async def test_what_was_known_of_a_person_stands_in_until_it_is_too_old_or_erased(
    service: Service, clock: Clock
) -> None:
    profiles = Profiles(service, Remembering(60.0, 10_000), clock)  # type: ignore[arg-type]
    service.features["ann"] = profile_features_pb2.ProfileFeatures(known=True)
    with use_tenant("shop"):
        assert await profiles.read("ann", "", Stages(), 1.0) == service.features["ann"]
        service.error = Unavailable("profile")
        clock.now += 20
        stages = Stages()
        assert await profiles.read("ann", "", stages, 1.0) == service.features["ann"]
        assert stages.missing[0].substitute == recommendation_pb2.SUBSTITUTE_REMEMBERED_PROFILE
        assert stages.missing[0].age.seconds == 20
        stages = Stages()
        assert await profiles.read("bob", "", stages, 1.0) is None
        assert stages.missing[0].substitute == recommendation_pb2.SUBSTITUTE_SESSION
        with use_tenant("another"):
            assert await profiles.read("ann", "", Stages(), 1.0) is None
        clock.now += 41
        assert await profiles.read("ann", "", Stages(), 1.0) is None
        service.error = None
        await profiles.read("ann", "tablet", Stages(), 1.0)
        profiles.forget("shop", "", "tablet")
        service.error = Unavailable("profile")
        assert await profiles.read("ann", "tablet", Stages(), 1.0) is None
        assert await profiles.read("", "", Stages(), 1.0) is None


async def test_memory_of_people_is_bounded(service: Service, clock: Clock) -> None:
    one = profile_features_pb2.ProfileFeatures(known=True)
    one.purchases.product_ids.extend(f"product-{number}" for number in range(100))
    service.features = {f"user-{number}": one for number in range(20)}
    profiles = Profiles(service, Remembering(60.0, 5 * one.ByteSize()), clock)  # type: ignore[arg-type]
    with use_tenant("shop"):
        for user in service.features:
            await profiles.read(user, "", Stages(), 1.0)
        service.error = Unavailable("profile")
        known = [user for user in service.features if await profiles.read(user, "", Stages(), 1.0) is not None]
    assert known == [f"user-{number}" for number in range(15, 20)]


async def test_a_callers_mistake_is_no_missing_stage() -> None:
    async def refuse() -> None:
        raise InvalidArgument([Violation("filter", "is wrong")])

    stages = Stages()
    with pytest.raises(InvalidArgument):
        await stages.run(PROFILE, 1.0, refuse)
    assert stages.missing == []


def test_words_find_products_that_hold_most_of_them() -> None:
    index = WordIndex(
        [product("1", "Rye bread", "Food"), product("2", "White bread", "Food"), product("3", "Rye whisky", "Drinks")]
    )
    assert sorted(index.find("breads")) == ["1", "2"]
    assert max(index.find("rye bread").items(), key=lambda item: item[1])[0] == "1"
    assert index.find("green tea") == {}
    assert sorted(index.find("food")) == ["1", "2"]


async def test_a_search_without_an_index_looks_at_what_was_seen_lately(service: Service, clock: Clock) -> None:
    hydrator = Hydrator(service, 100, 60.0, clock)  # type: ignore[arg-type]
    service.products = {
        "tea": product("tea", "Green tea", "Shop", "Drinks"),
        "milk": product("milk", "Milk", "Shop", "Drinks"),
        "iced": product("iced", "Iced tea", "Shop", "Drinks"),
    }
    search = RememberedSearch(hydrator, clock)
    everything, drinks = product_pb2.ProductFilter(), product_pb2.ProductFilter(categories=["Drinks"])
    with use_tenant("shop"):
        await hydrator.read(list(service.products), Stages(), 1.0)
    found = await asyncio.gather(*(search.find("shop", "tea", everything, LISTS) for _ in range(3)))
    assert [ids(one) for one in found] == [["tea", "iced"]] * 3, "the popular one first"
    assert ids(await search.find("shop", "", drinks, LISTS)) == ["tea", "milk", "iced"]
    assert await search.find("shop", "tea", product_pb2.ProductFilter(categories=["Food"]), LISTS) == []
    assert await search.find("another", "tea", everything, LISTS) == []
