"""What is known of a person, and what was known lately while the profile service is away."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mercato.gateway.v1 import recommendation_pb2
from mercato.profile.v1 import profile_features_pb2, profile_service_pb2
from mercato.profile.v1.profile_service_pb2_grpc import ProfileServiceStub

from services.gateway.stages import Stages
from shared.context.request import current_tenant
from shared.telemetry.metrics import CacheMeter

LOOKUPS = CacheMeter("remembered_profiles")
"""Asked only while the profile service is away."""
Features = profile_features_pb2.ProfileFeatures
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Remembering:
    """How much is remembered, and for how long."""

    seconds: float
    bytes: int


class Profiles:
    """Reads features; remembers those of the people who came last, in memory only, until they are too old.

    An erasure or a log-in is followed at the latest when the memory ends.
    """

    def __init__(
        self, stub: ProfileServiceStub, remembering: Remembering, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stub = stub
        self._remembering = remembering
        self._clock = clock
        self._known: OrderedDict[Key, tuple[float, Features]] = OrderedDict()
        self._bytes = 0

    async def read(self, user_id: str, visitor_id: str, stages: Stages, seconds: float) -> Features | None:
        """Features of a person; None: nobody is named, or nothing can be known now."""
        if not (user_id or visitor_id):
            return None
        request = profile_service_pb2.GetProfileFeaturesRequest(user_id=user_id, visitor_id=visitor_id)
        stage, key = recommendation_pb2.STAGE_PROFILE, (current_tenant(), user_id, visitor_id)
        response = await stages.run(stage, seconds, lambda: self._stub.GetProfileFeatures(request))
        if response is not None:
            self._remember(key, response.features)
            return response.features
        recalled = self._recall(key)
        LOOKUPS.count(hits=recalled is not None, misses=recalled is None)
        if recalled is None:
            stages.stand_in(stage, recommendation_pb2.SUBSTITUTE_SESSION)
            return None
        age_s, features = recalled
        stages.stand_in(stage, recommendation_pb2.SUBSTITUTE_REMEMBERED_PROFILE, age_s)
        return features

    def forget(self, tenant: str, user_id: str, visitor_id: str) -> None:
        """Drops what is known of a person, under every pair of ids that holds one of the ids."""
        for key in list(self._known):
            if key[0] == tenant and ((user_id and key[1] == user_id) or (visitor_id and key[2] == visitor_id)):
                self._drop(key)

    def _remember(self, key: Key, features: Features) -> None:
        self._drop(key)
        if not features.known or features.ByteSize() > self._remembering.bytes:
            return
        self._known[key] = (self._clock(), features)
        self._bytes += features.ByteSize()
        while self._bytes > self._remembering.bytes:
            self._drop(next(iter(self._known)))

    def _recall(self, key: Key) -> tuple[float, Features] | None:
        """Age in seconds and features."""
        found = self._known.get(key)
        if found is None:
            return None
        age_s = self._clock() - found[0]
        if age_s > self._remembering.seconds:
            self._drop(key)
            return None
        return age_s, found[1]

    def _drop(self, key: Key) -> None:
        found = self._known.pop(key, None)
        if found is not None:
            self._bytes -= found[1].ByteSize()
