"""Experiments as gateways and operators see them: real PostgreSQL, a real server; events from a list of the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from mercato.gateway.v1 import experiment_pb2, experiment_service_pb2
from mercato.trainer.v1 import experiment_service_pb2 as pb
from mercato.trainer.v1 import experiment_service_pb2_grpc

from services.trainer.adapters.postgres import PostgresReleases
from services.trainer.adapters.postgres_experiments import PostgresExperiments
from services.trainer.datasets.events import EventChunk, Request
from services.trainer.domain import Release
from services.trainer.experiments.manage import ManageExperiments
from services.trainer.experiments.report import GuardExperiments, ReportExperiment
from services.trainer.experiments.servicer import ExperimentServicer, ExperimentUseCases
from services.trainer.experiments.watch import WatchExperiments
from services.trainer.learning.interactions import EventKind
from services.trainer.watch import ReleaseNotifier
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from tests.fakes.trainer.event_rows import Row, chunk
from tests.suites.errors import reason_of

Stub = experiment_service_pb2_grpc.ExperimentServiceStub
Parameters = experiment_pb2.ExperimentParameters


class GivenEvents:
    """What a test says that happened."""

    def __init__(self) -> None:
        self.chunks: list[EventChunk] = []

    async def read(self, kinds: Iterable[EventKind] = EventKind, since_s: int = 0) -> AsyncIterator[EventChunk]:
        for one in self.chunks:
            yield one


@asynccontextmanager
async def serving(dsn: str, events: GivenEvents | None = None, *, guard: bool = False) -> AsyncIterator[Stub]:
    """One trainer process; several may serve one database."""
    async with open_pool(dsn) as pool:
        await migrate(pool, "services.trainer.migrations")
        repository, notifier = PostgresExperiments(pool), ReleaseNotifier()
        manage = ManageExperiments(repository, notifier)
        report = ReportExperiment(repository, events or GivenEvents())
        use_cases = ExperimentUseCases(
            manage=manage, report=report, watch=WatchExperiments(repository, notifier, 0.1), experiments=repository
        )
        servicer = Servicer(
            pb.DESCRIPTOR.services_by_name["ExperimentService"],
            experiment_service_pb2_grpc.add_ExperimentServiceServicer_to_server,
            ExperimentServicer(use_cases),
        )
        background = (GuardExperiments(repository, manage, report, 0.1).run,) if guard else ()
        async with (
            serve_in_process(ServiceParts("trainer", (servicer,), background=background)) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield Stub(channel)


def made(experiment_id: str, layer: str = "", share: float = 1.0, **more: object) -> experiment_pb2.Experiment:
    variants = [
        experiment_pb2.ExperimentVariant(variant_id="control"),
        experiment_pb2.ExperimentVariant(variant_id="dense", parameters=Parameters(diversity=0.1)),
    ]
    fields: dict[str, object] = {"variants": variants, **more}
    return experiment_pb2.Experiment(experiment_id=experiment_id, layer=layer, share=share, **fields)  # type: ignore[arg-type]


async def create(stub: Stub, experiment: experiment_pb2.Experiment) -> experiment_pb2.Experiment:
    wanted = experiment_service_pb2.CreateExperimentRequest(experiment=experiment)
    return (await stub.CreateExperiment(pb.CreateExperimentRequest(request=wanted))).response.experiment


async def start(stub: Stub, experiment_id: str) -> experiment_pb2.Experiment:
    wanted = experiment_service_pb2.StartExperimentRequest(experiment_id=experiment_id)
    return (await stub.StartExperiment(pb.StartExperimentRequest(request=wanted))).response.experiment


async def stop(stub: Stub, experiment_id: str) -> experiment_pb2.Experiment:
    wanted = experiment_service_pb2.StopExperimentRequest(experiment_id=experiment_id)
    return (await stub.StopExperiment(pb.StopExperimentRequest(request=wanted))).response.experiment


async def get(stub: Stub, experiment_id: str) -> experiment_pb2.Experiment:
    wanted = experiment_service_pb2.GetExperimentRequest(experiment_id=experiment_id)
    return (await stub.GetExperiment(pb.GetExperimentRequest(request=wanted))).response.experiment


async def update(stub: Stub, experiment: experiment_pb2.Experiment, *paths: str) -> experiment_pb2.Experiment:
    wanted = experiment_service_pb2.UpdateExperimentRequest(experiment=experiment, update_mask=FieldMask(paths=paths))
    return (await stub.UpdateExperiment(pb.UpdateExperimentRequest(request=wanted))).response.experiment


async def report(stub: Stub, experiment_id: str) -> experiment_pb2.ExperimentReport:
    wanted = experiment_service_pb2.GetExperimentReportRequest(experiment_id=experiment_id)
    return (await stub.GetExperimentReport(pb.GetExperimentReportRequest(request=wanted))).response.report


async def test_an_experiment_from_draft_to_end(postgres_database: str) -> None:
    async with serving(postgres_database) as stub:
        drafted = await create(stub, made("a", share=0.5))
        assert drafted.state == experiment_pb2.EXPERIMENT_STATE_DRAFT
        assert [one.share for one in drafted.variants] == [0.5, 0.5]
        changed = await update(stub, made("a", share=0.25), "share")
        assert changed.share == 0.25
        running = await start(stub, "a")
        assert sum(one.count for one in running.buckets) == 2500
        assert running == await get(stub, "a")
        end = experiment_pb2.Experiment(experiment_id="a", description="longer")
        assert (await update(stub, end, "description")).description == "longer"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await update(stub, made("a", share=0.5), "share")
        assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        stopped = await stop(stub, "a")
        assert stopped.state == experiment_pb2.EXPERIMENT_STATE_STOPPED
        assert stopped.stop_cause == "stopped by hand"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await start(stub, "a")
        assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        wanted = experiment_service_pb2.DeleteExperimentRequest(experiment_id="a")
        await stub.DeleteExperiment(pb.DeleteExperimentRequest(request=wanted))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await get(stub, "a")
        assert (error.value.code(), reason_of(error.value)) == (grpc.StatusCode.NOT_FOUND, "EXPERIMENT_NOT_FOUND")


async def test_bad_experiments_are_refused_with_all_reasons(postgres_database: str) -> None:
    async with serving(postgres_database) as stub:
        await create(stub, made("a"))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await create(stub, made("a"))
        assert error.value.code() == grpc.StatusCode.ALREADY_EXISTS
        for wrong in (made("No Id"), made("b", share=1.5), made("b", list_kinds=[experiment_pb2.LIST_KIND_SEARCH])):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await create(stub, wrong)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        unknown = made("c")
        unknown.variants[1].parameters.release_id = "r-unknown"
        await create(stub, unknown)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await start(stub, "c")
        assert reason_of(error.value) == "RELEASE_NOT_FOUND"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await report(stub, "a")
        assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_experiments_that_start_at_once_in_two_trainers_share_no_bucket(postgres_database: str) -> None:
    async with serving(postgres_database) as one, serving(postgres_database) as other:
        for number in range(6):
            await create(one, made(f"e{number}", "list", 0.2))
        starting = [start((one, other)[number % 2], f"e{number}") for number in range(6)]
        found = await asyncio.gather(*starting, return_exceptions=True)
        started = [item for item in found if isinstance(item, experiment_pb2.Experiment)]
        assert len(started) == 5, "the sixth finds no people left"
        places = [
            place for item in started for part in item.buckets for place in range(part.first, part.first + part.count)
        ]
        assert sorted(places) == list(range(10_000))


async def test_gateways_are_told_by_whatever_trainer_they_follow(postgres_database: str) -> None:
    async with serving(postgres_database) as one, serving(postgres_database) as other:
        stream = one.WatchExperiments(pb.WatchExperimentsRequest())
        async with asyncio.timeout(10):
            said = await stream.read()
            assert isinstance(said, pb.WatchExperimentsResponse)
            assert not said.experiments
            await create(other, made("a"))
            await start(other, "a")
            said = await stream.read()
            assert isinstance(said, pb.WatchExperimentsResponse)
            assert [item.experiment.experiment_id for item in said.experiments] == ["a"]
            assert said.experiments[0].salt
            assert experiment_pb2.LIST_KIND_HOME in said.experiments[0].experiment.list_kinds
            await stop(other, "a")
            said = await stream.read()
            assert isinstance(said, pb.WatchExperimentsResponse)
            assert not said.experiments
        stream.cancel()


async def test_an_experiment_stops_at_its_end(postgres_database: str) -> None:
    async with serving(postgres_database) as stub:
        soon = made("a")
        soon.end_time.FromNanoseconds(time.time_ns() + 1_500_000_000)
        await create(stub, soon)
        await start(stub, "a")
        async with asyncio.timeout(10):
            while (await get(stub, "a")).state != experiment_pb2.EXPERIMENT_STATE_STOPPED:
                await asyncio.sleep(0.05)
        stopped = await get(stub, "a")
        assert (stopped.stop_cause, stopped.stop_time) == ("its end came", stopped.end_time)


async def test_pages_hold_every_experiment_once_the_latest_first(postgres_database: str) -> None:
    async with serving(postgres_database) as stub:
        for number in range(5):
            await create(stub, made(f"e{number}"))
        await start(stub, "e1")
        found, token = [], ""
        while True:
            wanted = experiment_service_pb2.ListExperimentsRequest(page_size=2, page_token=token)
            page = (await stub.ListExperiments(pb.ListExperimentsRequest(request=wanted))).response
            found += [one.experiment_id for one in page.experiments]
            token = page.next_page_token
            if not token:
                break
        assert found == ["e4", "e3", "e2", "e1", "e0"]
        state = experiment_pb2.EXPERIMENT_STATE_RUNNING
        wanted = experiment_service_pb2.ListExperimentsRequest(state=state)
        page = (await stub.ListExperiments(pb.ListExperimentsRequest(request=wanted))).response
        assert [one.experiment_id for one in page.experiments] == ["e1"]


def crowd(experiment_id: str, at: int, people: int, buyers: dict[str, int]) -> EventChunk:
    """People to whom each variant was shown, the first of whom buy."""
    requests, rows = [], []
    for place, (variant, count) in enumerate(buyers.items()):
        exposures = ((experiment_id, variant),)
        requests.append(Request(key=variant.encode(), release_id="r", list_kind="home", time_s=at, exposures=exposures))
        for number in range(people):
            user = f"{experiment_id}-{number:05}-{variant}"  # those of one moment are told apart by name
            rows.append(
                Row(user, "milk", EventKind.IMPRESSION, at, place * people + number, request=variant, position=0)
            )
            if number < count:
                rows.append(
                    Row(user, "milk", EventKind.PURCHASE, at, 100_000 + place * people + number, price=2_000_000)
                )
    return chunk(rows, requests)


async def test_a_report_counts_people_and_what_they_bought(postgres_database: str) -> None:
    events = GivenEvents()
    async with serving(postgres_database, events) as stub:
        short = made("a")
        short.outcome_window.FromSeconds(1)
        await create(stub, short)
        begun = (await start(stub, "a")).start_time.seconds
        events.chunks = [crowd("a", begun, 1000, {"control": 100, "dense": 250}), crowd("b", begun, 9, {"dense": 9})]
        async with asyncio.timeout(10):
            while (found := await report(stub, "a")).variants[0].complete_count == 0:
                await asyncio.sleep(0.1)
        control, dense = found.variants
        assert (control.person_count, control.complete_count, control.impression_count) == (1000, 1000, 1000)
        assert (control.revenue, dense.revenue, found.currency) == (200.0, 500.0, "USD")
        conversion = dense.metrics[1]
        assert conversion.value == 0.25
        assert conversion.lift == pytest.approx(1.5)
        assert 0.5 < conversion.lift_low < 1.5 < conversion.lift_high
        assert dense.metrics[2].verdict == experiment_pb2.EXPERIMENT_VERDICT_BETTER
        assert found.finding.startswith("dense is better in conversion by +150.0%")
        assert not found.sample_ratio.mismatch


async def test_a_variant_that_harms_a_guardrail_is_stopped_without_anybody_looking(postgres_database: str) -> None:
    events = GivenEvents()
    async with serving(postgres_database, events, guard=True) as stub:
        guarded = made("a", guardrails=[experiment_pb2.EXPERIMENT_METRIC_CONVERSION])
        guarded.outcome_window.FromSeconds(1)
        await create(stub, guarded)
        begun = (await start(stub, "a")).start_time.seconds
        events.chunks = [crowd("a", begun, 1000, {"control": 250, "dense": 100})]
        async with asyncio.timeout(20):
            while (found := await get(stub, "a")).state != experiment_pb2.EXPERIMENT_STATE_STOPPED:
                await asyncio.sleep(0.1)
        assert found.stop_cause == "dense is worse in conversion"


async def test_releases_of_running_experiments_are_named_to_readers_and_kept(postgres_database: str) -> None:
    async with open_pool(postgres_database) as pool, serving(postgres_database) as stub:
        releases = PostgresReleases(pool, postgres_database, 2)
        moment = datetime(2026, 1, 1, tzinfo=UTC)

        async def save(release_id: str) -> None:
            release = Release(
                release_id=release_id, create_time=moment, current=False, data_end_time=moment,
                purchase_count=1, user_count=1, product_count=1, pair_count=1,
            )  # fmt: skip
            await releases.save("default", release, {})

        await save("r1")
        await releases.promote("default", "r1", "promoted")
        await save("r2")
        tried = made("a")
        tried.variants[1].parameters.CopyFrom(Parameters(release_id="r2"))
        await create(stub, tried)
        await start(stub, "a")
        for number in (3, 4, 5):
            await save(f"r{number}")
        lineup = (await releases.lineups())["default"]
        assert [one.release_id for one in lineup.in_experiments] == ["r2"]
        await stop(stub, "a")
        await save("r6")
        assert "r2" not in [one.release_id for one in await releases.list_before("default", "", 10)]
        assert (await releases.lineups())["default"].in_experiments == ()
