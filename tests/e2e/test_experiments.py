"""Experiments live: variants answer their people, tokens name them, events that carry tokens make the report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from mercato.gateway.v1 import experiment_pb2, experiment_service_pb2, user_event_pb2
from mercato.gateway.v1 import recommendation_service_pb2 as pb
from mercato.gateway.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from shared.attribution.token import read_stored
from tests.e2e.conftest import Running
from tests.e2e.marked_release import SEED
from tests.e2e.marked_shop import serving, stored
from tests.e2e.shop import Shop, purchase, until
from tests.e2e.test_command import mercato
from tests.e2e.test_faults import Killer

PEOPLE = [f"user-{number}" for number in range(1, 61)]
AT_ONCE = 6
Parameters = experiment_pb2.ExperimentParameters


def variant_of(answer: pb.RecommendResponse) -> str:
    """What the answer's token says; empty: it takes part in no experiment."""
    said = read_stored(answer.attribution_token)
    assert said is not None
    return dict(said.exposures).get("newer-release", "")


async def answers(shop: Shop) -> dict[str, pb.RecommendResponse]:
    found = {}
    for start in range(0, len(PEOPLE), AT_ONCE):
        part = PEOPLE[start : start + AT_ONCE]
        parts = await asyncio.gather(*(shop.recommend(person, page_size=3) for person in part))
        found.update(zip(part, parts, strict=True))
    return found


async def variants(shop: Shop) -> dict[str, str]:
    return {person: variant_of(answer) for person, answer in (await answers(shop)).items()}


def impression(person: str, answer: pb.RecommendResponse) -> user_event_pb2.UserEvent:
    event = user_event_pb2.UserEvent(
        event_id=f"seen-{person}",
        event_type=user_event_pb2.USER_EVENT_TYPE_IMPRESSION,
        user_id=person,
        attribution_token=answer.attribution_token,
        products=[{"product_id": one.product.product_id} for one in answer.results],  # type: ignore[misc]
    )
    event.event_time.GetCurrentTime()
    return event


def click(person: str, answer: pb.RecommendResponse) -> user_event_pb2.UserEvent:
    event = impression(person, answer)
    event.event_id, event.event_type = f"click-{person}", user_event_pb2.USER_EVENT_TYPE_CLICK
    del event.products[1:]
    return event


async def create(shop: Shop, variant: Parameters, *, kinds: tuple[int, ...] = ()) -> ExperimentServiceStub:
    """An experiment of two variants that runs."""
    stub: ExperimentServiceStub = shop.experiments
    wanted = experiment_pb2.Experiment(
        experiment_id="newer-release",
        variants=[
            experiment_pb2.ExperimentVariant(variant_id="control"),
            experiment_pb2.ExperimentVariant(variant_id="new", parameters=variant),
        ],
        list_kinds=kinds,  # type: ignore[arg-type]
    )
    wanted.outcome_window.FromSeconds(3)
    await shop.call(stub.CreateExperiment, experiment_service_pb2.CreateExperimentRequest(experiment=wanted))
    start = experiment_service_pb2.StartExperimentRequest(experiment_id="newer-release")
    await shop.call(stub.StartExperiment, start)
    return stub


async def test_two_releases_are_compared_from_answers_to_report(running: Running, shop: Shop, tmp_path: Path) -> None:
    async with stored(running, shop) as marks:
        first, second = marks
        await until(serving(shop, first))
        await shop.write([purchase(f"buy-{person}", person, [SEED], 3.0) for person in PEOPLE[1:]])

        async def run(*arguments: str) -> str:
            code, out, err = await mercato(running, shop, "experiment", *arguments, cwd=tmp_path)
            assert code == 0, err
            return out

        window = str(3 / 86_400)
        new = f"new:release={second}"
        await run(
            "create", "newer-release", "--variant", "control", "--variant", new, "--days", window, "--list", "home"
        )
        assert set((await variants(shop)).values()) == {""}, "a draft is seen by nobody"
        await run("start", "newer-release")
        await until(lambda: all_take_part(shop))
        found = await answers(shop)
        by_variant = {"control": first, "new": second}
        for answer in found.values():
            assert answer.release_id == by_variant[variant_of(answer)]
        assert not variant_of(await shop.recommend("", page_size=3)), "who has no id takes no part"
        assert not variant_of(await shop.recommend("user-1", placement=pb.PLACEMENT_CART)), "nor another list"
        seen = [impression(person, answer) for person, answer in found.items()]
        clicks = [click(person, answer) for person, answer in found.items() if variant_of(answer) == "new"]
        response = await shop.write([*seen, *clicks])
        assert response.accepted_count == len(seen) + len(clicks)

        async def complete() -> bool:
            report = json.loads(await run("report", "newer-release", "--json"))["report"]
            return sum(int(one.get("complete_count", 0)) for one in report["variants"]) == len(PEOPLE)

        await until(complete)
        out = await run("report", "newer-release", "--out", "report.html", "--out", "report.md")
        assert "the split of people fits the shares" in out
        report = json.loads(await run("report", "newer-release", "--json"))["report"]
        control, newer = report["variants"]
        assert int(control["person_count"]) + int(newer["person_count"]) == len(PEOPLE)
        assert newer["metrics"][0]["value"] == 1.0
        assert "value" not in control["metrics"][0], "nobody clicked"
        assert newer["metrics"][0]["verdict"] == "EXPERIMENT_VERDICT_BETTER"
        assert "click through" in (tmp_path / "report.md").read_text()
        assert "<table>" in (tmp_path / "report.html").read_text()
        await run("stop", "newer-release")

        async def nobody() -> bool:
            return set((await variants(shop)).values()) == {""}

        await until(nobody)
        assert "stopped by hand" in await run("show", "newer-release")
        assert "newer-release" in await run("list")
        await run("delete", "newer-release")


async def all_take_part(shop: Shop) -> bool:
    found = set((await variants(shop)).values())
    return found == {"control", "new"}


async def test_assignments_outlive_the_store_and_the_gateway(running: Running, shop: Shop) -> None:
    await shop.filled()
    await create(shop, Parameters(diversity=0.9, ranker=experiment_pb2.VARIANT_RANKER_BLEND))
    await until(lambda: all_take_part(shop))
    before = await variants(shop)
    for unit in ("trainer", "postgres"):
        killer = Killer(running, unit)
        killer.kill()
        assert await variants(shop) == before, f"while {unit} is away"
        await killer.back()
    killer = Killer(running, "gateway")
    killer.kill()
    await killer.back()

    async def same() -> bool:
        return await variants(shop) == before

    await until(same, 90)


async def test_a_variant_without_personalisation_answers_everybody_alike(running: Running, shop: Shop) -> None:
    await shop.filled()
    await create(shop, Parameters(personalized=False))
    await until(lambda: all_take_part(shop))
    found = await asyncio.gather(*(shop.recommend(person, page_size=5) for person in PEOPLE[:8]))
    popular = [one.product.product_id for one in (await shop.recommend("", page_size=5)).results]
    alike = [answer for answer in found if variant_of(answer) == "new"]
    assert alike
    for answer in alike:
        assert [one.product.product_id for one in answer.results] == popular
