"""Reads the parts of one release from the trainer."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mercato.gateway.v1 import operations_service_pb2
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

from shared.client.failures import remote_errors
from shared.errors.base import Unavailable

SECONDS = 60.0


class ReleaseReader:
    """All methods raise Unavailable, DeadlineExceeded, NotFound (the release was deleted)."""

    def __init__(self, trainer: TrainerServiceStub, release: operations_service_pb2.Release) -> None:
        self._trainer = trainer
        self._release = release
        self._hashes = {one.name: one.sha256 for one in release.artifacts}

    @property
    def release_id(self) -> str:
        """The release."""
        return self._release.release_id

    def has(self, *names: str) -> bool:
        """Whether the release has all of these artifacts."""
        return all(name in self._hashes for name in names)

    async def artifact(self, name: str) -> bytes:
        """The bytes of an artifact, proved by their hash."""
        request = pb.ReadArtifactRequest(release_id=self.release_id, name=name)
        with remote_errors("trainer"):
            content = b"".join([part.content async for part in self._trainer.ReadArtifact(request, timeout=SECONDS)])
        if hashlib.sha256(content).hexdigest() != self._hashes[name]:
            raise Unavailable("trainer", metadata={"detail": f"artifact {name} is not what the release names"})
        return content

    async def document(self, name: str) -> dict[str, Any]:
        """An artifact that is a JSON object."""
        found: dict[str, Any] = json.loads(await self.artifact(name))
        return found

    async def neighbours(self) -> list[pb.ReadItemNeighboursResponse]:
        """The item neighbours, in parts."""
        request = pb.ReadItemNeighboursRequest(release_id=self.release_id)
        with remote_errors("trainer"):
            return [part async for part in self._trainer.ReadItemNeighbours(request, timeout=SECONDS)]

    async def statistics(self) -> list[pb.ReadItemStatisticsResponse]:
        """The item statistics, in parts."""
        request = pb.ReadItemStatisticsRequest(release_id=self.release_id)
        with remote_errors("trainer"):
            return [part async for part in self._trainer.ReadItemStatistics(request, timeout=SECONDS)]
