"""Which release answers a request. One is chosen at the start and named to every stage, so no answer mixes two.

A new release is chosen once every stage that can be reached holds it; until then the one before goes on, which readers
keep. In a canary, a share of people gets the release on trial, always the same ones; in an experiment that of their
variant.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
from mercato.encoder.v1 import encoder_service_pb2
from mercato.gateway.v1 import operations_service_pb2
from mercato.ranking.v1 import ranking_service_pb2
from mercato.retrieval.v1 import retrieval_service_pb2

from services.gateway.lists import ReleaseLists
from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors
from shared.context.request import use_deadline, use_tenant
from shared.errors.base import MercatoError
from shared.release.follower import ReleaseFollower
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter

ASK_SECONDS, EVERY_SECONDS, COMPLAIN_SECONDS = 1.0, 0.2, 30.0
CANARY, SHADOW = operations_service_pb2.ROLLOUT_MODE_CANARY, operations_service_pb2.ROLLOUT_MODE_SHADOW
CHOSEN = counter("gateway_releases_chosen_total", "Requests by the release that answered.", ("arm",))

_log = logger("releases")


@dataclass(frozen=True, slots=True)
class Choice:
    """The release of one request; empty: the stages' own. `shadow` is computed beside it, never shown."""

    release_id: str = ""
    shadow: str = ""


class ReleaseChooser:
    """Follows the stages; run `run` in the background beside the follower."""

    def __init__(self, stubs: Stubs, lists: ReleaseFollower[ReleaseLists]) -> None:
        self._stubs = stubs
        self._lists = lists
        self._pinned: dict[str, str] = {}
        self._ready: dict[str, frozenset[str]] = {}
        self._waiting: dict[str, tuple[str, float]] = {}
        """Which release is waited for, and since when or since it was last complained of."""

    def choose(self, tenant: str, person: str, wanted: str | None = None) -> Choice:
        """Never waits. A person without an id gets the current release.

        `wanted` is what an experiment says: a release, or, empty, the current one; its people are in no canary.
        """
        pinned = self._pinned.get(tenant, "")
        if wanted is not None:
            CHOSEN.labels("experiment").inc()
            return Choice(wanted or pinned)
        rollout = self._lists.lineup(tenant).rollout
        trial = rollout.release_id
        if not trial or trial not in self._ready.get(tenant, ()) or not person:
            CHOSEN.labels("current").inc()
            return Choice(pinned)
        inside = bucket(tenant, trial, person) < rollout.share
        if rollout.mode == CANARY and inside:
            CHOSEN.labels("trial").inc()
            return Choice(trial)
        CHOSEN.labels("current").inc()
        return Choice(pinned, trial if rollout.mode == SHADOW and inside else "")

    def is_held(self, tenant: str, release_id: str) -> bool:
        """Whether every stage that can be reached holds a release."""
        return release_id in self._ready.get(tenant, ())

    def lists(self, tenant: str, release_id: str) -> ReleaseLists:
        """The lists of a release; empty when it is not held."""
        return self._lists.of(tenant, release_id) or ReleaseLists()

    async def run(self) -> None:
        """Asks the stages while something named is not known to be held everywhere, until cancelled."""
        while True:
            for tenant in self._lists.tenants():
                if self._unsettled(tenant):
                    await self._settle(tenant)
            await asyncio.sleep(EVERY_SECONDS)

    def _unsettled(self, tenant: str) -> bool:
        lineup = self._lists.lineup(tenant)
        tried = [one.release_id for one in (lineup.trial_release, *lineup.experiment_releases) if one.release_id]
        ready = self._ready.get(tenant, frozenset())
        return self._pinned.get(tenant) != lineup.release.release_id or not ready.issuperset(tried)

    async def _settle(self, tenant: str) -> None:
        questions = self._questions()
        with use_tenant(tenant):
            answers = await asyncio.gather(*map(_asked, questions.values()))
        held = {name: ids for name, ids in zip(questions, answers, strict=True) if ids is not None}
        held["gateway"] = frozenset(self._lists.held(tenant))
        ready = frozenset.intersection(*held.values())
        self._ready[tenant] = ready
        current = self._lists.lineup(tenant).release.release_id
        if current not in ready:
            self._complain(tenant, current, [name for name, ids in held.items() if current not in ids])
            before = self._lists.lineup(tenant).previous_release.release_id
            if not self._pinned.get(tenant) and before in ready:
                self._pinned[tenant] = before  # this process is younger than the release that nobody can read
        elif self._pinned.get(tenant) != current:
            self._pinned[tenant] = current
            _log.info("release chosen", tenant=tenant, release=current)

    def _complain(self, tenant: str, release_id: str, without: list[str]) -> None:
        """Says now and then who holds up a release."""
        now = time.monotonic()
        release, since = self._waiting.setdefault(tenant, (release_id, now))
        if release != release_id:
            self._waiting[tenant] = (release_id, now)
        elif now - since > COMPLAIN_SECONDS:
            self._waiting[tenant] = (release_id, now)
            _log.warning("a release is not held by all stages", tenant=tenant, release=release_id, missing=without)

    def _questions(self) -> dict[str, Callable[[], Awaitable[list[str]]]]:
        stubs = self._stubs

        async def retrieval() -> list[str]:
            state = await stubs.retrieval.GetIndexState(retrieval_service_pb2.GetIndexStateRequest())
            return list(state.release_ids)

        async def ranking() -> list[str]:
            state = await stubs.ranking.GetRankingState(ranking_service_pb2.GetRankingStateRequest())
            return list(state.release_ids)

        async def encoder() -> list[str]:
            return list((await stubs.encoder.GetModel(encoder_service_pb2.GetModelRequest())).release_ids)

        return {"retrieval": retrieval, "ranking": ranking, "encoder": encoder}


async def _asked(question: Callable[[], Awaitable[list[str]]]) -> frozenset[str] | None:
    """None: the stage cannot be reached. It answers without a release, or with what it holds when it is back."""
    try:
        with use_deadline(ASK_SECONDS), remote_errors("stage"):
            return frozenset(await question())
    except (MercatoError, grpc.aio.AioRpcError):
        return None


def bucket(tenant: str, release_id: str, person: str) -> float:
    """Where a person stands in a rollout, from 0 to 1: the same at every request and in every gateway process.

    >>> 0.0 <= bucket("shop", "r1", "ann") == bucket("shop", "r1", "ann") < 1.0
    True
    """
    digest = hashlib.blake2b(f"{tenant}\0{release_id}\0{person}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
