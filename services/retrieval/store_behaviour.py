"""Keeps a Milvus collection for each release that is held, filled with its product vectors, and drops the others.

Every step may be repeated: several replicas may take it at once, and one that was killed half-way takes it again.
"""

from __future__ import annotations

import time

from services.retrieval.domain.behaviour import BehaviourIndex, BehaviourVectors
from services.retrieval.ports import BehaviourIndexes, ReleaseRecord, Releases
from shared.telemetry.logs import logger

BATCH = 500
BATCHES_A_CALL = 100
"""Then other releases and tenants have their turn."""
LOOK_EVERY = 20
"""Batches after which a replica that fills an index looks whether another one has finished it."""
GRACE_SECONDS = 600.0
"""A collection stays this long after its release is known to be deleted: another replica may hear of it later."""
_log = logger("behaviour")


class StoreBehaviour:
    """Methods raise what Milvus and the trainer raise; what was not done is done by the next call."""

    def __init__(
        self,
        port: BehaviourIndexes,
        releases: Releases,
        record: ReleaseRecord,
        memory_bytes: int,
        *,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.port = port
        self._releases = releases
        self._record = record
        self._memory_bytes = memory_bytes
        self._grace_seconds = grace_seconds
        self._unkept: dict[BehaviourIndex, float] = {}

    async def check(self, index: BehaviourIndex, behaviour: BehaviourVectors) -> None:
        """Compares memory with what Milvus holds; what it has lost is written again, read anew if memory let it go."""
        needed = max(behaviour.learnt, behaviour.stored)
        with behaviour.asking():
            await self.port.open(index)
            whole = await self.port.whole(index)
            if whole and await self.port.count(index) < needed:
                await self.port.mark(index, whole=False)
                whole = False
        behaviour.stored = needed if whole else 0
        behaviour.doubtful = False
        if not whole and behaviour.held is None:
            _log.warning("behaviour vectors are gone", tenant=index.tenant, release=index.release_id)
            behaviour.doubtful = True
            await self._releases.again(index.tenant, index.release_id)

    async def write(self, index: BehaviourIndex, behaviour: BehaviourVectors) -> None:
        """Writes what Milvus does not hold yet, or a part of it; memory lets go of vectors that take too much."""
        if behaviour.held is None or behaviour.doubtful:
            return
        began, first = time.monotonic(), behaviour.stored
        with behaviour.asking():
            for batch in range(BATCHES_A_CALL):
                if behaviour.stored == len(behaviour):
                    break
                if batch % LOOK_EVERY == 0 and behaviour.stored < behaviour.learnt and await self.port.whole(index):
                    behaviour.stored = behaviour.learnt
                else:
                    await self._write_next(index, behaviour)
        if written := behaviour.stored - first:
            seconds = round(time.monotonic() - began, 2)
            _log.info("behaviour vectors stored", release=index.release_id, products=written, seconds=seconds)
        if behaviour.searchable and behaviour.stored == len(behaviour) and behaviour.held_bytes > self._memory_bytes:
            behaviour.let_go()

    async def tidy(self, tenant: str) -> int:
        """Drops collections of releases that the trainer deleted and that are not held; returns how many."""
        # Collections first: one that is made after this look belongs to a release that may be newer than the record.
        found = await self.port.discover(tenant)
        held = set(self._releases.held(tenant))
        unheld = [index for index in found if index.release_id not in held]
        kept = await self._record.kept() if unheld else set()
        now = time.monotonic()
        unkept = {index: self._unkept.get(index, now) for index in unheld if index.release_id not in kept}
        others = {index: since for index, since in self._unkept.items() if index.tenant != tenant}
        self._unkept = others | unkept
        late = [index for index, since in unkept.items() if now - since >= self._grace_seconds]
        for index in late:
            await self.port.drop(index)
            self._unkept.pop(index, None)
            _log.info("behaviour vectors dropped", tenant=tenant, release=index.release_id)
        return len(late)

    async def _write_next(self, index: BehaviourIndex, behaviour: BehaviourVectors) -> None:
        first = behaviour.stored
        ids, vectors = behaviour.unwritten(BATCH)
        await self.port.upsert(index, ids, vectors)
        if first < behaviour.learnt <= first + len(ids):
            await self.port.mark(index, whole=True)  # before it is noted here: if this fails, it is done again
        behaviour.stored = first + len(ids)
