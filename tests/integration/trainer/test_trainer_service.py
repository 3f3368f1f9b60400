"""The trainer as its clients see it: real PostgreSQL, a real server, a real job; events from a source of our own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from mercato.gateway.v1 import operations_service_pb2 as operations
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1 import trainer_service_pb2_grpc

from services.trainer.adapters.outcomes import EventOutcomes
from services.trainer.adapters.postgres import PostgresReleases
from services.trainer.adapters.postgres_rollouts import PostgresRollouts
from services.trainer.adapters.process import JobProcess
from services.trainer.datasets.content import CatalogRow
from services.trainer.datasets.events import EventChunk
from services.trainer.domain import Floats
from services.trainer.gather import Gather, Sources
from services.trainer.learning.interactions import EventKind
from services.trainer.promote import PromoteRelease
from services.trainer.roll_out import RollOut, RolloutPolicy, WatchRollouts
from services.trainer.servicer import TrainerServicer, UseCases
from services.trainer.train import Train, TrainConfig
from services.trainer.watch import ReleaseNotifier, WatchReleases
from shared.errors.base import Unavailable
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from tests.fakes.trainer.event_rows import DAY_S, NOW_S, Row, chunk, request
from tests.suites.errors import reason_of


class FixedEvents:
    """Purchases made of a seed, then rows that a test adds; can be told to fail."""

    def __init__(self) -> None:
        self.count = 400
        self.failing = False
        self.chunks: list[EventChunk] = []

    async def read(self, kinds: Iterable[EventKind] = EventKind, since_s: int = 0) -> AsyncIterator[EventChunk]:
        if self.failing:
            raise Unavailable("profile")
        if self.count:
            random = np.random.default_rng(5)
            users, products = random.integers(0, 20, self.count).tolist(), random.integers(0, 30, self.count).tolist()
            yield chunk(
                [
                    Row(f"u{user}", f"p{product}", EventKind.PURCHASE, NOW_S + number * DAY_S // 4, number)
                    for number, (user, product) in enumerate(zip(users, products, strict=True))
                ]
            )
        for one in self.chunks:
            yield one


class Shelves:
    """Category paths: ten products a shelf."""

    async def rows(self, product_ids: Sequence[str]) -> dict[str, CatalogRow]:
        return {one: CatalogRow(category_path=("Shop", f"Shelf {int(one[1:]) // 10}")) for one in product_ids}


class NoVectors:
    """An index that is not there yet."""

    async def read(self) -> AsyncIterator[tuple[Sequence[str], Floats]]:
        raise Unavailable("retrieval")
        yield (), np.empty((0, 0), np.float32)


@asynccontextmanager
async def trainer(
    dsn: str, work: Path, source: FixedEvents, *, kept: int = 2
) -> AsyncIterator[trainer_service_pb2_grpc.TrainerServiceStub]:
    async with open_pool(dsn) as pool:
        await migrate(pool, "services.trainer.migrations")
        releases, notifier = PostgresReleases(pool, dsn, kept), ReleaseNotifier()
        gather = Gather(Sources(source, Shelves(), NoVectors()), history_days=700)
        train = Train(gather, JobProcess(1), releases, notifier, TrainConfig(work=work))
        rollouts = PostgresRollouts(pool)
        trials = WatchRollouts(rollouts, EventOutcomes(source), notifier, RolloutPolicy(check_seconds=0.1))
        use_cases = UseCases(
            train=train,
            promote=PromoteRelease(releases, notifier),
            watch=WatchReleases(releases, notifier, 0.1),
            roll_out=RollOut(rollouts, notifier),
            releases=releases,
        )
        servicer = Servicer(
            pb.DESCRIPTOR.services_by_name["TrainerService"],
            trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server,
            TrainerServicer(use_cases),
        )
        async with (
            serve_in_process(ServiceParts("trainer", (servicer,), background=(trials.run,))) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield trainer_service_pb2_grpc.TrainerServiceStub(channel)
        await train.close()


CANARY = operations.ROLLOUT_MODE_CANARY


async def run(stub: trainer_service_pb2_grpc.TrainerServiceStub, **arguments: bool) -> list[pb.TrainResponse]:
    return [step async for step in stub.Train(pb.TrainRequest(**arguments))]


async def test_a_job_makes_a_release_that_readers_can_read(postgres_database: str, tmp_path: Path) -> None:
    async with trainer(postgres_database, tmp_path, FixedEvents()) as stub:
        steps = await run(stub)
        release = steps[-1].release
        assert [step.step for step in steps][0] == "reading events"
        assert release.current
        assert (release.user_count, release.product_count) == (20, 30)
        chunks = [
            chunk
            async for chunk in stub.ReadItemNeighbours(pb.ReadItemNeighboursRequest(release_id=release.release_id))
        ]
        assert sum(sum(chunk.counts) for chunk in chunks) == release.pair_count > 0
        assert len(chunks[0].dictionary) == 30
        assert max(chunks[0].neighbours) < 30
        statistics = [
            part async for part in stub.ReadItemStatistics(pb.ReadItemStatisticsRequest(release_id=release.release_id))
        ]
        assert list(statistics[0].product_ids) == list(chunks[0].product_ids)
        assert sorted(statistics[0].leaves) == ["Shop > Shelf 0", "Shop > Shelf 1", "Shop > Shelf 2"]
        assert len(statistics[0].renewal_probabilities) == 15 * 16
        assert statistics[0].data_end_time_s == release.data_end_time.seconds


@pytest.mark.parametrize(
    "place", ["overlay(content placing '\\xffff' from 1)", "set_byte(content, length(content) - 1, 7)"]
)
async def test_an_artifact_of_which_bits_changed_is_not_given_out(
    postgres_database: str, tmp_path: Path, place: str
) -> None:
    async with trainer(postgres_database, tmp_path, FixedEvents()) as stub:
        release_id = (await run(stub))[-1].release.release_id
        async with open_pool(postgres_database) as pool, pool.connection() as connection:
            await connection.execute(f"UPDATE trainer.blob_chunks SET content = {place}")
        for call in (
            stub.ReadItemNeighbours(pb.ReadItemNeighboursRequest(release_id=release_id)),
            stub.ReadItemStatistics(pb.ReadItemStatisticsRequest(release_id=release_id)),
            stub.ReadArtifact(pb.ReadArtifactRequest(release_id=release_id, name="statistics")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                [part async for part in call]
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_watchers_hear_of_every_promotion_and_old_releases_go(postgres_database: str, tmp_path: Path) -> None:
    async with trainer(postgres_database, tmp_path, FixedEvents()) as stub:
        watch = stub.WatchReleases(pb.WatchReleasesRequest())
        ids = [(await run(stub))[-1].release.release_id]
        assert (await watch.read()).release.release_id == ids[0]
        ids.append((await run(stub, keep_current=True))[-1].release.release_id)
        current = await stub.GetCurrentRelease(pb.GetCurrentReleaseRequest())
        assert current.release.release_id == ids[0]
        await stub.PromoteRelease(pb.PromoteReleaseRequest(release_id=ids[1]))
        assert (await watch.read()).release.release_id == ids[1]
        await stub.PromoteRelease(pb.PromoteReleaseRequest(release_id=ids[0]))
        assert (await watch.read()).release.release_id == ids[0]
        ids.append((await run(stub))[-1].release.release_id)
        assert (await watch.read()).release.release_id == ids[2]
        first = await stub.ListReleases(pb.ListReleasesRequest(page_size=1))
        assert [release.release_id for release in first.releases] == [ids[2]]
        second = await stub.ListReleases(pb.ListReleasesRequest(page_size=1, page_token=first.next_page_token))
        assert [(release.release_id, release.current) for release in second.releases] == [(ids[1], False)]
        ids.append((await run(stub))[-1].release.release_id)
        kept = await stub.ListReleases(pb.ListReleasesRequest())
        assert [release.release_id for release in kept.releases] == [ids[3], ids[2]]
        assert kept.next_page_token == ""
        watch.cancel()


async def test_what_cannot_be_done_is_said_precisely(postgres_database: str, tmp_path: Path) -> None:
    source = FixedEvents()
    async with trainer(postgres_database, tmp_path, source) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as none_yet:
            await stub.GetCurrentRelease(pb.GetCurrentReleaseRequest())
        assert (none_yet.value.code(), reason_of(none_yet.value)) == (grpc.StatusCode.NOT_FOUND, "RELEASE_NOT_FOUND")
        source.count = 0
        with pytest.raises(grpc.aio.AioRpcError) as nothing:
            await run(stub)
        assert nothing.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        source.failing = True
        with pytest.raises(grpc.aio.AioRpcError) as down:
            await run(stub)
        assert (down.value.code(), reason_of(down.value)) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
        for call in (
            stub.PromoteRelease(pb.PromoteReleaseRequest(release_id="r-unknown")),
            stub.ReadItemNeighbours(pb.ReadItemNeighboursRequest(release_id="r-unknown")).read(),
            stub.ReadArtifact(pb.ReadArtifactRequest(release_id="r-unknown", name="statistics")).read(),
            stub.GetRelease(pb.GetReleaseRequest(release_id="r-unknown")),
            stub.StartRollout(pb.StartRolloutRequest(release_id="r-unknown", mode=CANARY, share=0.5)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await call
            assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


async def test_one_job_a_tenant(postgres_database: str, tmp_path: Path) -> None:
    async with trainer(postgres_database, tmp_path, FixedEvents()) as stub, open_pool(postgres_database) as pool:
        async with PostgresReleases(pool, postgres_database, 2).job_lock("default") as held:
            assert held
            with pytest.raises(grpc.aio.AioRpcError) as running:
                await run(stub)
            assert running.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert (await run(stub))[-1].HasField("release")


async def test_a_release_is_addressed_by_its_content_and_knows_its_parent(
    postgres_database: str, tmp_path: Path
) -> None:
    async with trainer(postgres_database, tmp_path, FixedEvents()) as stub:
        first, second = (await run(stub))[-1].release, (await run(stub))[-1].release
        assert first.release_id != second.release_id
        assert first.content_hash == second.content_hash  # the same events, learnt from twice
        assert first.release_id.endswith(first.content_hash[:8])
        found = (await stub.GetRelease(pb.GetReleaseRequest())).release
        assert (found.release_id, found.parent_release_id) == (second.release_id, first.release_id)
        assert '"PURCHASE": 400' in found.data_card
        assert sorted(one.name for one in found.artifacts) == ["neighbours", "statistics"]
        for artifact in found.artifacts:
            reading = stub.ReadArtifact(pb.ReadArtifactRequest(release_id=found.release_id, name=artifact.name))
            content = b"".join([part.content async for part in reading])
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (artifact.sha256, artifact.size_bytes)


async def test_the_way_back_leads_through_what_was_current_and_ends(postgres_database: str, tmp_path: Path) -> None:
    async with trainer(postgres_database, tmp_path, FixedEvents(), kept=4) as stub:
        one, two, three = [(await run(stub))[-1].release.release_id for _ in range(3)]
        back = await stub.RollbackRelease(pb.RollbackReleaseRequest())
        assert back.release.release_id == two
        assert back.release.current
        again = await stub.RollbackRelease(pb.RollbackReleaseRequest())
        assert again.release.release_id == one
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stub.RollbackRelease(pb.RollbackReleaseRequest())
        assert ended.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        await stub.PromoteRelease(pb.PromoteReleaseRequest(release_id=three))
        assert (await stub.RollbackRelease(pb.RollbackReleaseRequest())).release.release_id == one


async def test_watchers_hear_of_the_release_before_and_of_the_one_on_trial(
    postgres_database: str, tmp_path: Path
) -> None:
    async with trainer(postgres_database, tmp_path, FixedEvents()) as stub:
        one, two = (await run(stub))[-1].release.release_id, (await run(stub))[-1].release.release_id
        trial = (await run(stub, keep_current=True))[-1].release.release_id
        watch = stub.WatchReleases(pb.WatchReleasesRequest())
        lineup = await watch.read()
        assert (lineup.release.release_id, lineup.previous_release.release_id) == (two, one)
        assert not lineup.HasField("trial_release")
        await stub.StartRollout(pb.StartRolloutRequest(release_id=trial, mode=CANARY, share=0.25))
        lineup = await watch.read()
        assert (lineup.trial_release.release_id, lineup.rollout.share) == (trial, 0.25)
        with pytest.raises(grpc.aio.AioRpcError) as current:
            await stub.StartRollout(pb.StartRolloutRequest(release_id=two, mode=CANARY, share=0.25))
        assert current.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        await stub.StopRollout(pb.StopRolloutRequest())
        assert not (await watch.read()).HasField("trial_release")
        with pytest.raises(grpc.aio.AioRpcError) as stopped:
            await stub.StopRollout(pb.StopRolloutRequest())
        assert stopped.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        watch.cancel()


async def test_a_canary_that_does_harm_is_stopped_by_itself(postgres_database: str, tmp_path: Path) -> None:
    source = FixedEvents()
    async with trainer(postgres_database, tmp_path, source) as stub:
        base = (await run(stub))[-1].release.release_id
        trial = (await run(stub, keep_current=True))[-1].release.release_id
        rollout = (await stub.StartRollout(pb.StartRolloutRequest(release_id=trial, mode=CANARY, share=0.5))).rollout
        start = rollout.start_time.seconds + 1
        source.chunks.append(shown(base, people=300, clicking=90, at=start))
        source.chunks.append(shown(trial, people=300, clicking=15, at=start))
        watch = stub.WatchReleases(pb.WatchReleasesRequest())
        async with asyncio.timeout(20):
            while (await watch.read()).HasField("trial_release"):
                pass
        found = (await stub.GetRollout(pb.GetRolloutRequest())).rollout
        assert not found.running
        assert found.finding.startswith("stopped by itself because it is worse")
        assert [(arm.shown_count, arm.clicked_count) for arm in found.arms] == [(300, 90), (300, 15)]
        assert found.difference_high < 0.0
        assert (await stub.GetCurrentRelease(pb.GetCurrentReleaseRequest())).release.release_id == base
        watch.cancel()


def shown(release: str, *, people: int, clicking: int, at: int) -> EventChunk:
    """Everybody is shown one list, twice; some click it."""
    names = [f"{release}-{number}" for number in range(people)]
    rows = [Row(name, "p1", EventKind.IMPRESSION, at, number, request=name) for number, name in enumerate(names)]
    rows += [Row(name, "p1", EventKind.IMPRESSION, at + 9, people + n, request=name) for n, name in enumerate(names)]
    rows += [
        Row(name, "p1", EventKind.CLICK, at + 10, 2 * people + number, request=name)
        for number, name in enumerate(names[:clicking])
    ]
    return chunk(rows, [request(name, release=release, at=at) for name in names])
