"""Who gets which release, and what a person did as a behaviour model reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from mercato.gateway.v1 import operations_service_pb2 as operations
from mercato.profile.v1 import profile_features_pb2
from mercato.trainer.v1 import trainer_service_pb2 as pb

from services.gateway.lists import ReleaseLists
from services.gateway.releases import Choice, ReleaseChooser, bucket
from services.gateway.seeds import BEHAVIOUR_ROWS, behaviour_rows
from shared.errors.base import Unavailable

CANARY, SHADOW = operations.ROLLOUT_MODE_CANARY, operations.ROLLOUT_MODE_SHADOW


class Held:
    """What the gateway's follower holds of one tenant."""

    def __init__(self) -> None:
        self.named = pb.WatchReleasesResponse(tenant="shop")
        self.ids: list[str] = []

    def tenants(self) -> list[str]:
        return ["shop"]

    def held(self, tenant: str) -> list[str]:
        return self.ids

    def lineup(self, tenant: str) -> pb.WatchReleasesResponse:
        return self.named

    def of(self, tenant: str, release_id: str = "") -> ReleaseLists | None:
        return ReleaseLists(release_id) if release_id in self.ids else None


class Stage:
    """Retrieval, ranking and encoder in one: says which releases it holds, or that it is down."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.down = False

    async def _say(self, request: object) -> Any:
        if self.down:
            raise Unavailable("stage")
        return self

    GetIndexState = GetRankingState = GetModel = _say

    @property
    def release_ids(self) -> list[str]:
        return self.ids


class Stubs:
    def __init__(self) -> None:
        self.retrieval, self.ranking, self.encoder = Stage(), Stage(), Stage()


async def settled(chooser: ReleaseChooser, condition: Callable[[], bool]) -> None:
    running = asyncio.create_task(chooser.run())
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def stubs() -> Stubs:
    return Stubs()


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def chooser(stubs: Stubs, held: Held) -> ReleaseChooser:
    return ReleaseChooser(stubs, held)  # type: ignore[arg-type]


def everybody_holds(stubs: Stubs, held: Held, *ids: str) -> None:
    held.ids = list(ids)
    for stage in (stubs.retrieval, stubs.ranking, stubs.encoder):
        stage.ids = list(ids)


async def test_a_release_is_chosen_when_every_stage_that_answers_holds_it(
    chooser: ReleaseChooser, stubs: Stubs, held: Held
) -> None:
    assert chooser.choose("shop", "ann") == Choice()
    held.named.release.release_id = "r1"
    everybody_holds(stubs, held, "r1")
    await settled(chooser, lambda: chooser.choose("shop", "ann") == Choice("r1"))
    held.named.release.release_id = "r2"
    everybody_holds(stubs, held, "r1", "r2")
    stubs.ranking.ids = ["r1"]
    running = asyncio.create_task(chooser.run())
    for _ in range(30):
        await asyncio.sleep(0.01)
        assert chooser.choose("shop", "ann") == Choice("r1")
    running.cancel()
    stubs.ranking.down = True  # a stage that is down holds up nobody
    await settled(chooser, lambda: chooser.choose("shop", "ann") == Choice("r2"))


async def test_a_gateway_that_starts_beside_a_release_nobody_can_read_takes_the_one_before(
    chooser: ReleaseChooser, stubs: Stubs, held: Held
) -> None:
    held.named.release.release_id, held.named.previous_release.release_id = "r2", "r1"
    everybody_holds(stubs, held, "r1")
    await settled(chooser, lambda: chooser.choose("shop", "ann") == Choice("r1"))
    everybody_holds(stubs, held, "r1", "r2")
    await settled(chooser, lambda: chooser.choose("shop", "ann") == Choice("r2"))


async def test_a_canary_takes_its_share_and_a_shadow_is_never_the_answer(
    chooser: ReleaseChooser, stubs: Stubs, held: Held
) -> None:
    held.named.release.release_id, held.named.trial_release.release_id = "r1", "r2"
    held.named.rollout.CopyFrom(operations.Rollout(release_id="r2", mode=CANARY, share=0.3))
    everybody_holds(stubs, held, "r1", "r2")
    people = [f"person-{number}" for number in range(1000)]
    await settled(chooser, lambda: any(chooser.choose("shop", one).release_id == "r2" for one in people))
    inside = {one for one in people if chooser.choose("shop", one).release_id == "r2"}
    assert 240 < len(inside) < 360
    assert chooser.choose("shop", "") == Choice("r1")
    held.named.rollout.mode = SHADOW
    for one in people:
        assert chooser.choose("shop", one) == Choice("r1", "r2" if one in inside else "")


def test_buckets_differ_between_releases_so_that_no_one_is_always_the_first_to_try() -> None:
    people = [f"person-{number}" for number in range(400)]
    first, second = ({one for one in people if bucket("shop", release, one) < 0.5} for release in ("r1", "r2"))
    assert 50 < len(first & second) < 150


def test_purchases_and_interactions_are_one_sequence_in_time_order() -> None:
    features = profile_features_pb2.ProfileFeatures(
        purchases=profile_features_pb2.PurchaseHistory(
            product_ids=["milk", "bread"],
            product_indexes=[0, 1, 0],
            purchase_times_s=[10, 20, 40],
            basket_indexes=[0, 1, 2],
        ),
        recent=profile_features_pb2.RecentInteractions(
            product_ids=["beer", "milk"], event_types=[3, 7], event_times_s=[50, 30]
        ),
    )
    rows = behaviour_rows(features)
    assert rows is not None
    assert rows.product_ids == ("milk", "bread", "milk", "milk", "beer")
    assert rows.kinds == (9, 9, 7, 9, 3)
    assert rows.times_s == (10, 20, 30, 40, 50)
    assert behaviour_rows(profile_features_pb2.ProfileFeatures()) is None
    assert behaviour_rows(None) is None


def test_a_long_history_is_cut_to_its_end() -> None:
    count = BEHAVIOUR_ROWS + 50
    purchases = profile_features_pb2.PurchaseHistory(
        product_ids=["milk"], product_indexes=[0] * count, purchase_times_s=range(count), basket_indexes=range(count)
    )
    rows = behaviour_rows(profile_features_pb2.ProfileFeatures(purchases=purchases))
    assert rows is not None
    assert (len(rows.times_s), rows.times_s[-1]) == (BEHAVIOUR_ROWS, count - 1)
