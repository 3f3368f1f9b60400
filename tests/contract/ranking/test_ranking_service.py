"""Ranking as its clients see it, without a trainer: a release is no condition for an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from mercato.gateway.v1 import recommendation_pb2, recommendation_service_pb2
from mercato.profile.v1 import profile_features_pb2
from mercato.ranking.v1 import ranking_service_pb2 as pb
from mercato.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from mercato.retrieval.v1 import candidates_pb2

from services.ranking.settings import RankingSettings
from services.ranking.wiring import build
from shared.errors.reasons import Reason
from shared.server.bootstrap import serve_in_process
from tests.suites.errors import fields_of, reason_of


@pytest.fixture
async def stub() -> AsyncIterator[RankingServiceStub]:
    async with (
        build(RankingSettings(trainer_address="127.0.0.1:1", triton_address="127.0.0.1:1")) as parts,
        serve_in_process(parts) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield RankingServiceStub(channel)


def request(**fields: object) -> pb.RankRequest:
    candidates = candidates_pb2.CandidateColumns(
        product_ids=["a", "b", "c"],
        channel_masks=[1 << recommendation_pb2.CHANNEL_BOUGHT_TOGETHER] * 3,
        neighbour_scores=[0.1, 0.3, 0.2],
        neighbour_seeds=[0, 0, -1],
        content_scores=[0.0] * 3,
        publish_times_s=[0] * 3,
        category_names=["Food > Milk", "Food > Bread"],
        category_indexes=[0, 1, 1],
        brand_names=["Farm"],
        brand_indexes=[0, 0, 0],
    )
    return pb.RankRequest(candidates=candidates, seed_product_ids=["s"], limit=10, **fields)  # type: ignore[arg-type]


def person(*bought: str) -> profile_features_pb2.ProfileFeatures:
    return profile_features_pb2.ProfileFeatures(
        known=True,
        purchases=profile_features_pb2.PurchaseHistory(
            product_ids=bought,
            category_names=["Food > Milk"],
            category_indexes=[0] * len(bought),
            product_indexes=range(len(bought)),
            purchase_times_s=[1_790_000_000] * len(bought),
            basket_indexes=range(len(bought)),
        ),
    )


async def test_an_order_without_a_release(stub: RankingServiceStub) -> None:
    answer = await stub.Rank(request(profile=person("x")))
    assert [item.product_id for item in answer.products] == ["b", "c", "a"]
    assert answer.release_id == ""
    assert answer.products[0].reason.related_product_id == "s"
    assert answer.products[0].reason.code == recommendation_pb2.REASON_CODE_BOUGHT_TOGETHER
    assert (await stub.GetRankingState(pb.GetRankingStateRequest())).product_count == 0


async def test_what_was_bought_can_be_wanted_or_not(stub: RankingServiceStub) -> None:
    again = await stub.Rank(request(profile=person("a"), placement=recommendation_service_pb2.PLACEMENT_BUY_AGAIN))
    assert [item.product_id for item in again.products] == ["a"]
    new = await stub.Rank(request(profile=person("a"), exclude_purchased=True, excluded_product_ids=["b"]))
    assert [item.product_id for item in new.products] == ["c"]


async def test_contributions_sum_to_the_score(stub: RankingServiceStub) -> None:
    answer = await stub.Rank(request(profile=person("a"), explain=True))
    for item in answer.products:
        assert sum(part.contribution for part in item.contributions) == pytest.approx(item.score, abs=1e-9)


@pytest.mark.parametrize(
    ("column", "values", "field"),
    [
        ("neighbour_scores", [0.1], "candidates.neighbour_scores"),
        ("category_indexes", [0, 1, 2], "candidates.category_indexes[2]"),
        ("brand_indexes", [0, -1, 0], "candidates.brand_indexes[1]"),
    ],
)
async def test_columns_that_do_not_fit_are_named(
    stub: RankingServiceStub, column: str, values: list[float], field: str
) -> None:
    bad = request()
    bad.candidates.ClearField(column)  # type: ignore[arg-type]
    getattr(bad.candidates, column).extend(values)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Rank(bad)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (reason_of(raised.value), fields_of(raised.value)) == (Reason.INVALID_REQUEST, [field])


async def test_revenue_counts_as_much_as_is_asked_and_the_answer_says_by_what(stub: RankingServiceStub) -> None:
    priced = request(profile=person("x"), revenue_weight=1.0)
    nothing = await stub.Rank(priced)
    assert [item.product_id for item in nothing.products] == ["b", "c", "a"]
    assert "no price is known" in nothing.amount_fallback_cause
    priced.candidates.prices.extend([900.0, 1.0, 1.0])
    by_price = await stub.Rank(priced)
    assert [item.product_id for item in by_price.products] == ["a", "b", "c"]
    assert "price stands in" in by_price.amount_fallback_cause
    priced.ClearField("revenue_weight")
    plain = await stub.Rank(priced)
    assert ([item.product_id for item in plain.products], plain.amount_fallback_cause) == (["b", "c", "a"], "")


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
async def test_a_weight_is_a_share(stub: RankingServiceStub, weight: float) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Rank(request(revenue_weight=weight))
    assert set(fields_of(raised.value)) == {"revenue_weight"}


@pytest.mark.parametrize("limit", [0, 501])
async def test_limits_stand_in_the_contract(stub: RankingServiceStub, limit: int) -> None:
    bad = request()
    bad.limit = limit
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Rank(bad)
    assert fields_of(raised.value) == ["limit"]
