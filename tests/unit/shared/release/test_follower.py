"""Readers hold what the trainer names, through a real server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from mercato.gateway.v1 import operations_service_pb2 as operations
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1 import trainer_service_pb2_grpc

from shared.errors.base import Unavailable
from shared.release.follower import ReleaseFollower
from shared.release.reader import ReleaseReader
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer

SECONDS = 10.0


class Trainer(trainer_service_pb2_grpc.TrainerServiceServicer):
    """Says what a test puts into it."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[pb.WatchReleasesResponse] = asyncio.Queue()
        self.content = b"what was learnt"

    async def WatchReleases(
        self, request: pb.WatchReleasesRequest, context: object
    ) -> AsyncIterator[pb.WatchReleasesResponse]:
        while True:
            yield await self.said.get()

    async def ReadArtifact(
        self, request: pb.ReadArtifactRequest, context: object
    ) -> AsyncIterator[pb.ReadArtifactResponse]:
        for start in range(0, len(self.content), 4):
            yield pb.ReadArtifactResponse(content=self.content[start : start + 4])


class Reader:
    """A service that reads releases; can be told to fail for some."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.loaded: list[str] = []
        self.dropped: list[str] = []

    async def load(self, reader: ReleaseReader) -> str:
        if reader.release_id in self.broken:
            raise Unavailable("triton")
        self.loaded.append(reader.release_id)
        return reader.release_id

    async def drop(self, loaded: str) -> None:
        self.dropped.append(loaded)


def release(name: str) -> operations.Release | None:
    return operations.Release(release_id=name) if name else None


def lineup(current: str, previous: str = "", trial: str = "", tenant: str = "shop") -> pb.WatchReleasesResponse:
    return pb.WatchReleasesResponse(
        tenant=tenant, release=release(current), previous_release=release(previous), trial_release=release(trial)
    )


@pytest.fixture
async def trainer() -> AsyncIterator[Trainer]:
    yield Trainer()


@pytest.fixture
async def channel(trainer: Trainer) -> AsyncIterator[grpc.aio.Channel]:
    add = trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server
    servicer = Servicer(pb.DESCRIPTOR.services_by_name["TrainerService"], add, trainer)
    async with (
        serve_in_process(ServiceParts("trainer", (servicer,))) as address,
        grpc.aio.insecure_channel(address) as opened,
    ):
        yield opened


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.fixture
async def follower(channel: grpc.aio.Channel, reader: Reader) -> AsyncIterator[ReleaseFollower[str]]:
    followed = ReleaseFollower(channel, reader.load, reader.drop, grace_seconds=0.0)
    running = asyncio.create_task(followed.run())
    yield followed
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_all_that_is_named_is_held_and_what_is_not_is_dropped(
    trainer: Trainer, follower: ReleaseFollower[str], reader: Reader
) -> None:
    await trainer.said.put(lineup("r2", "r1", "r3"))
    await until(lambda: len(follower.held("shop")) == 3)
    assert follower.current("shop") == "r2"
    assert (follower.of("shop"), follower.of("shop", "r1"), follower.of("shop", "r3")) == ("r2", "r1", "r3")
    assert (follower.of("shop", "r9"), follower.of("other")) == (None, None)
    await trainer.said.put(lineup("r4", "r2"))
    await until(lambda: sorted(reader.dropped) == ["r1", "r3"])
    assert follower.held("shop") == ["r2", "r4"]
    assert reader.loaded.count("r2") == 1


async def test_the_release_before_serves_until_the_new_one_is_held(
    trainer: Trainer, follower: ReleaseFollower[str], reader: Reader
) -> None:
    await trainer.said.put(lineup("r1"))
    await until(lambda: follower.current("shop") == "r1")
    reader.broken.add("r2")
    await trainer.said.put(lineup("r2", "r1"))
    await trainer.said.put(lineup("s1", tenant="other"))
    await until(lambda: follower.current("other") == "s1")  # one tenant's broken release holds up no other
    assert (follower.current("shop"), follower.of("shop", "r2")) == ("r1", None)
    reader.broken.clear()
    await until(lambda: follower.current("shop") == "r2")


async def test_artifacts_are_proved_by_their_hash(trainer: Trainer, channel: grpc.aio.Channel) -> None:
    named = operations.ReleaseArtifact(name="model", sha256=hashlib.sha256(trainer.content).hexdigest())
    one = ReleaseReader(
        trainer_service_pb2_grpc.TrainerServiceStub(channel),
        operations.Release(release_id="r1", artifacts=[named]),
    )
    assert (one.has("model"), one.has("model", "ranker")) == (True, False)
    assert await one.artifact("model") == trainer.content
    trainer.content = b"something else"
    with pytest.raises(Unavailable):
        await one.artifact("model")


async def test_a_release_that_is_held_can_be_read_again_and_others_cannot(
    trainer: Trainer, follower: ReleaseFollower[str], reader: Reader
) -> None:
    trainer.said.put_nowait(lineup("r1"))
    await until(lambda: follower.current("shop") == "r1")
    await follower.again("shop", "r1")
    await follower.again("shop", "r2")
    await follower.again("other", "r1")
    assert reader.loaded == ["r1", "r1"]
    assert (follower.of("shop"), follower.held("other")) == ("r1", [])
    reader.broken = {"r1"}
    with pytest.raises(Unavailable):
        await follower.again("shop", "r1")
    assert follower.of("shop") == "r1", "what is held stays"


async def test_after_a_restart_beside_a_release_that_cannot_be_read_the_one_before_goes_on(
    trainer: Trainer, follower: ReleaseFollower[str], reader: Reader
) -> None:
    reader.broken.add("r2")
    await trainer.said.put(lineup("r2", "r1", "r3"))
    await until(lambda: follower.current("shop") == "r1")
    await until(lambda: follower.held("shop") == ["r1", "r3"])
    reader.broken.clear()
    await until(lambda: follower.current("shop") == "r2")
