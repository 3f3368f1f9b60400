"""Which experiments an answer takes part in, and what they change.

Follows the trainer. While it is away, the experiments that were known last go on until their ends.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import grpc
from mercato.gateway.v1 import experiment_pb2
from mercato.ranking.v1 import ranking_service_pb2
from mercato.trainer.v1 import experiment_service_pb2 as pb
from mercato.trainer.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.gateway.bucketing import BUCKETS, layer_bucket, variant_bucket
from shared.client.failures import remote_errors
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter, gauge

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
Parameters = experiment_pb2.ExperimentParameters
Orderer = ranking_service_pb2.Orderer
ORDERERS = {
    experiment_pb2.VARIANT_RANKER_BLEND: ranking_service_pb2.ORDERER_BLEND,
    experiment_pb2.VARIANT_RANKER_LEARNED: ranking_service_pb2.ORDERER_LEARNED,
}
RUNNING = gauge("gateway_experiments_running", "Experiments that this gateway knows of, over all tenants.")
EXPOSED = counter("gateway_experiment_exposures_total", "Answers that took part in an experiment, once for each.")

_log = logger("experiments")


@dataclass(frozen=True, slots=True)
class Plan:
    """What experiments change in one answer."""

    exposures: tuple[tuple[str, str], ...] = ()
    """Pairs of experiment and variant, for the attribution token."""
    parameters: Parameters = field(default_factory=Parameters)
    about_releases: bool = False
    """Whether an experiment says which release answers; an empty `release_id` then is the current one."""

    @property
    def orderer(self) -> Orderer.ValueType:
        """What is to order candidates."""
        return ORDERERS.get(self.parameters.ranker, ranking_service_pb2.ORDERER_UNSPECIFIED)

    @property
    def personalized(self) -> bool:
        """Whether what is known of the person counts."""
        return self.parameters.personalized or not self.parameters.HasField("personalized")


@dataclass(frozen=True, slots=True)
class Running:
    """A running experiment, prepared for fast answers."""

    experiment_id: str
    layer: str
    salt: str
    ranges: tuple[tuple[int, int], ...]
    """First bucket of the layer and the one after the last."""
    list_kinds: frozenset[str]
    names: frozenset[str]
    """Parameters that any variant sets."""
    release_ids: tuple[str, ...]
    variants: tuple[tuple[int, str, Parameters], ...]
    """The bucket after a variant's last one, its id and what it changes."""
    end_s: float

    @classmethod
    def of(cls, message: pb.RunningExperiment) -> Running:
        """Prepares one."""
        said = message.experiment
        names = {field.name for variant in said.variants for field, _ in variant.parameters.ListFields()}
        releases = {variant.parameters.release_id for variant in said.variants}
        return cls(
            experiment_id=said.experiment_id,
            layer=said.layer,
            salt=message.salt,
            ranges=tuple((one.first, one.first + one.count) for one in said.buckets),
            list_kinds=frozenset(_kind_name(kind) for kind in said.list_kinds),
            names=frozenset(names),
            release_ids=tuple(sorted(releases - {""})),
            variants=_variants(said.variants),
            end_s=said.end_time.ToNanoseconds() / 1e9 if said.HasField("end_time") else float("inf"),
        )

    def variant_of(self, tenant: str, person: str) -> tuple[str, Parameters] | None:
        """What a person sees; None: they are not in it."""
        place = layer_bucket(tenant, self.layer, person)
        if not any(first <= place < end for first, end in self.ranges):
            return None
        place = variant_bucket(self.salt, person)
        return next((variant_id, parameters) for end, variant_id, parameters in self.variants if place < end)


class Experiments:
    """All that run; run `run` in the background.

    `is_held` says whether every stage holds a release. Until all releases of an experiment are held, nobody takes part:
    otherwise people of one variant would see what belongs to another.
    """

    def __init__(self, trainer: grpc.aio.Channel, is_held: Callable[[str, str], bool]) -> None:
        self._stub = ExperimentServiceStub(trainer)
        self._is_held = is_held
        self._by_tenant: dict[str, tuple[Running, ...]] = {}

    def plan(self, tenant: str, list_kind: str, person: str, stated: Collection[str] = ()) -> Plan:
        """What changes for a person in a kind of list. Never waits.

        A request that states a parameter itself takes no part in experiments with that parameter, whatever the
        variant. Without an id a person takes part in none.
        """
        if not person or tenant not in self._by_tenant:
            return Plan()
        now_s, exposures, merged, about_releases = time.time(), [], Parameters(), False
        for one in self._by_tenant[tenant]:
            if list_kind not in one.list_kinds or now_s >= one.end_s or not one.names.isdisjoint(stated):
                continue
            if not all(self._is_held(tenant, release_id) for release_id in one.release_ids):
                continue
            found = one.variant_of(tenant, person)
            if found is not None:
                exposures.append((one.experiment_id, found[0]))
                merged.MergeFrom(found[1])  # no two experiments that one person is in set the same parameter
                about_releases = about_releases or bool(one.release_ids)
        EXPOSED.inc(len(exposures))
        return Plan(tuple(exposures), merged, about_releases)

    def hear(self, said: pb.WatchExperimentsResponse) -> None:
        """Takes what runs now in place of what ran before."""
        found: dict[str, list[Running]] = defaultdict(list)
        for message in said.experiments:
            found[message.tenant].append(Running.of(message))
        self._by_tenant = {tenant: tuple(running) for tenant, running in found.items()}
        RUNNING.set(len(said.experiments))

    async def run(self) -> None:
        """Follows until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                with remote_errors("trainer"):
                    async for said in self._stub.WatchExperiments(pb.WatchExperimentsRequest()):
                        self.hear(said)
                        pause = FIRST_PAUSE_SECONDS
            except MercatoError as error:
                _log.info("experiments not followed", error=str(error), retry_seconds=round(pause, 1))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _variants(variants: Sequence[experiment_pb2.ExperimentVariant]) -> tuple[tuple[int, str, Parameters], ...]:
    """Buckets by share; the last one ends with the buckets, whatever sums of shares round to."""
    found, total = [], 0.0
    for variant in variants:
        total += variant.share
        found.append((round(total * BUCKETS), variant.variant_id, variant.parameters))
    return (*found[:-1], (BUCKETS, *found[-1][1:]))


def _kind_name(kind: experiment_pb2.ListKind.ValueType) -> str:
    """As attribution tokens name it."""
    return experiment_pb2.ListKind.Name(kind).removeprefix("LIST_KIND_").lower()
