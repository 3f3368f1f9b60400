"""The trainer as its clients see it: real PostgreSQL, a real server, purchases from a source of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1 import trainer_service_pb2_grpc

from services.trainer.adapters.postgres import PostgresReleases
from services.trainer.converters import tables_to_chunks
from services.trainer.learning.neighbours import NeighbourConfig
from services.trainer.ports import EventChunk
from services.trainer.promote import PromoteRelease
from services.trainer.servicer import TrainerServicer, UseCases
from services.trainer.train import Sources, Train, TrainConfig
from services.trainer.watch import ReleaseNotifier, WatchReleases
from shared.errors.base import Unavailable
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from tests.suites.errors import reason_of

DAY = 86_400


class FixedPurchases:
    """Purchases made of a seed; can be told to fail."""

    def __init__(self) -> None:
        self.rows = 400
        self.failing = False

    async def read(self) -> AsyncIterator[EventChunk]:
        if self.failing:
            raise Unavailable("profile")
        if not self.rows:
            return
        random = np.random.default_rng(5)
        events = np.arange(self.rows, dtype=np.int64)
        yield EventChunk(
            [b"%d" % n for n in range(20)],
            [f"p{n}" for n in range(30)],
            random.integers(0, 20, self.rows).astype(np.int32),
            random.integers(0, 30, self.rows).astype(np.int32),
            events * DAY // 4,
            events,
            self.rows,
        )


class Shelves:
    """Category paths: ten products a shelf."""

    async def paths(self, product_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {product_id: ("Shop", f"Shelf {int(product_id[1:]) // 10}") for product_id in product_ids}


@asynccontextmanager
async def trainer(dsn: str, source: FixedPurchases) -> AsyncIterator[trainer_service_pb2_grpc.TrainerServiceAsyncStub]:
    async with open_pool(dsn) as pool:
        await migrate(pool, "services.trainer.migrations")
        releases, notifier = PostgresReleases(pool, dsn, 2), ReleaseNotifier()
        train = Train(
            Sources(source, Shelves()),
            releases,
            notifier,
            tables_to_chunks,
            TrainConfig(history_days=700, neighbours=NeighbourConfig()),
        )
        use_cases = UseCases(
            train, PromoteRelease(releases, notifier), WatchReleases(releases, notifier, 0.1), releases
        )
        servicer = Servicer(
            pb.DESCRIPTOR.services_by_name["TrainerService"],
            trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server,
            TrainerServicer(use_cases),
        )
        async with (
            serve_in_process(ServiceParts("trainer", (servicer,))) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield trainer_service_pb2_grpc.TrainerServiceStub(channel)
        await train.close()


async def run(stub: trainer_service_pb2_grpc.TrainerServiceAsyncStub, **arguments: bool) -> list[pb.TrainResponse]:
    return [step async for step in stub.Train(pb.TrainRequest(**arguments))]


async def test_a_job_makes_a_release_that_readers_can_read(postgres_database: str) -> None:
    async with trainer(postgres_database, FixedPurchases()) as stub:
        steps = await run(stub)
        release = steps[-1].release
        assert [step.step for step in steps][0] == "reading purchases"
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


async def test_watchers_hear_of_every_promotion_and_old_releases_go(postgres_database: str) -> None:
    async with trainer(postgres_database, FixedPurchases()) as stub:
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
        assert second.next_page_token == ""
        watch.cancel()


async def test_what_cannot_be_done_is_said_precisely(postgres_database: str) -> None:
    source = FixedPurchases()
    async with trainer(postgres_database, source) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as none_yet:
            await stub.GetCurrentRelease(pb.GetCurrentReleaseRequest())
        assert (none_yet.value.code(), reason_of(none_yet.value)) == (grpc.StatusCode.NOT_FOUND, "RELEASE_NOT_FOUND")
        source.rows = 0
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
        ):
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await call
            assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


async def test_one_job_a_tenant(postgres_database: str) -> None:
    async with trainer(postgres_database, FixedPurchases()) as stub, open_pool(postgres_database) as pool:
        async with PostgresReleases(pool, postgres_database, 2).job_lock("default") as held:
            assert held
            with pytest.raises(grpc.aio.AioRpcError) as running:
                await run(stub)
            assert running.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert (await run(stub))[-1].HasField("release")
