"""Holds every release that the trainer names, so that a request is answered by the one that it names.

A reader holds the current release, the one before it (requests in flight may name it, and it is the way back), the
one on trial and those in experiments. A new release is loaded beside the old one; what is not named any more is dropped
after a while. While the trainer is down, what is held stays. A release that cannot be read is tried again and holds up
neither other tenants nor other releases: until it can, the one before goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import grpc
from mercato.gateway.v1 import operations_service_pb2
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

from shared.client.failures import remote_errors
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.release.reader import ReleaseReader
from shared.telemetry.logs import logger
from shared.telemetry.metrics import CurrentName, gauge
from shared.telemetry.tracing import work_span

T = TypeVar("T")
Release = operations_service_pb2.Release
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
GRACE_SECONDS = 30.0
"""A release stays this long after it was named last: longer than any request."""

CURRENT = CurrentName("release_info", "The release that became current last, of any tenant.", "release")
HELD = gauge("releases_held", "Releases in memory, over all tenants.")

_log = logger("releases")


@dataclass(slots=True)
class _Tenant(Generic[T]):
    """What one tenant's readers hold."""

    wanted: pb.WatchReleasesResponse = field(default_factory=pb.WatchReleasesResponse)
    held: dict[str, T] = field(default_factory=dict)
    named: dict[str, float] = field(default_factory=dict)
    """When each was named last."""
    current: str = ""

    def releases(self) -> list[Release]:
        """All that are named, the current one first."""
        lineup = self.wanted
        named = (lineup.release, lineup.previous_release, lineup.trial_release, *lineup.experiment_releases)
        return list({one.release_id: one for one in named if one.release_id}.values())


class ReleaseFollower(Generic[T]):
    """`load` makes of a release what the service needs; `drop` takes leave of it. Run `run` in the background."""

    def __init__(
        self,
        trainer: grpc.aio.Channel,
        load: Callable[[ReleaseReader], Awaitable[T]],
        drop: Callable[[T], Awaitable[None]] | None = None,
        *,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._stub = TrainerServiceStub(trainer)
        self._load = load
        self._drop = drop
        self._grace_seconds = grace_seconds
        self._tenants: dict[str, _Tenant[T]] = {}
        self._settling: dict[str, asyncio.Task[None]] = {}
        HELD.set_function(lambda: sum(len(state.held) for state in self._tenants.values()))

    def of(self, tenant: str, release_id: str = "") -> T | None:
        """A release that is held; an empty id is the current one. None: not held. Never waits."""
        state = self._tenants.get(tenant)
        return state.held.get(release_id or state.current) if state is not None else None

    def current(self, tenant: str) -> str:
        """The id of the current release once it is held; before that the last one that was."""
        state = self._tenants.get(tenant)
        return state.current if state is not None else ""

    def held(self, tenant: str) -> list[str]:
        """Ids of all that are held."""
        state = self._tenants.get(tenant)
        return list(state.held) if state is not None else []

    def tenants(self) -> list[str]:
        """Tenants of which something was named."""
        return list(self._tenants)

    def lineup(self, tenant: str) -> pb.WatchReleasesResponse:
        """What the trainer named last; empty when it named nothing."""
        state = self._tenants.get(tenant)
        return state.wanted if state is not None else pb.WatchReleasesResponse()

    def put(self, tenant: str, release_id: str, loaded: T) -> None:
        """Holds a release and makes it the current one."""
        state = self._tenants.setdefault(tenant, _Tenant())
        state.held[release_id], state.current = loaded, release_id
        CURRENT.set(release_id)

    async def again(self, tenant: str, release_id: str) -> None:
        """Loads a release that is held once more and holds that instead. Raises what `load` raises."""
        state = self._tenants.get(tenant, _Tenant())
        for release in state.releases():
            if release.release_id == release_id and release_id in state.held:
                await self._take(tenant, state, release)

    async def run(self) -> None:
        """Follows until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        try:
            while True:
                try:
                    with remote_errors("trainer"):
                        async for lineup in self._stub.WatchReleases(pb.WatchReleasesRequest()):
                            self._hear(lineup)
                            pause = FIRST_PAUSE_SECONDS
                except MercatoError as error:
                    _log.info("trainer not followed", error=str(error), retry_seconds=round(pause, 1))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        finally:
            for task in self._settling.values():
                task.cancel()
            await asyncio.gather(*self._settling.values(), return_exceptions=True)

    def _hear(self, lineup: pb.WatchReleasesResponse) -> None:
        self._tenants.setdefault(lineup.tenant, _Tenant()).wanted = lineup
        running = self._settling.get(lineup.tenant)
        if running is None or running.done():
            self._settling[lineup.tenant] = asyncio.create_task(self._settle(lineup.tenant))

    async def _settle(self, tenant: str) -> None:
        """Loads until all that is named is held, then drops what is not named any more."""
        state, pause = self._tenants[tenant], FIRST_PAUSE_SECONDS
        while True:
            self._point(state)
            missing = [release for release in state.releases() if release.release_id not in state.held]
            if not missing:
                if not await self._tidy(state):
                    return
                await asyncio.sleep(min(self._grace_seconds, 1.0))
            elif await self._take_all(tenant, state, missing):
                pause = FIRST_PAUSE_SECONDS
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _take_all(self, tenant: str, state: _Tenant[T], missing: list[Release]) -> bool:
        """Whether all could be loaded; one that cannot be read keeps none of the others away."""
        whole = True
        for release in missing:
            try:
                await self._take(tenant, state, release)
                self._point(state)
            except MercatoError as error:
                whole = False
                _log.warning("release not loaded", tenant=tenant, release=release.release_id, error=str(error))
        return whole

    async def _take(self, tenant: str, state: _Tenant[T], release: Release) -> None:
        began = time.monotonic()
        with use_tenant(tenant), work_span("load release", always=True):
            state.held[release.release_id] = await self._load(ReleaseReader(self._stub, release))
        seconds = round(time.monotonic() - began, 2)
        _log.info("release loaded", tenant=tenant, release=release.release_id, seconds=seconds)

    @staticmethod
    def _point(state: _Tenant[T]) -> None:
        wanted, before = state.wanted.release.release_id, state.wanted.previous_release.release_id
        if wanted in state.held:
            state.current = wanted
        elif state.current not in state.held and before in state.held:
            state.current = before  # after a restart beside a release that cannot be read
        else:
            return
        CURRENT.set(state.current)

    async def _tidy(self, state: _Tenant[T]) -> bool:
        """Drops what was not named for a while; says whether something waits to be dropped."""
        now, named = time.monotonic(), {release.release_id for release in state.releases()}
        state.named |= dict.fromkeys(named, now)
        for release_id in [one for one in state.held if one not in named]:
            if now - state.named.setdefault(release_id, now) < self._grace_seconds:
                continue
            loaded = state.held.pop(release_id)
            state.named.pop(release_id, None)
            _log.info("release dropped", release=release_id)
            if self._drop is not None:
                try:
                    await self._drop(loaded)
                except MercatoError as error:
                    _log.info("release not unloaded", release=release_id, error=str(error))
        return any(one not in named for one in state.held)
