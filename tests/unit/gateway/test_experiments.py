"""Who takes part in which experiment: by hashes that are even, independent and the same everywhere."""

from __future__ import annotations

import time
from collections import Counter

import grpc
import pytest
from mercato.gateway.v1 import experiment_pb2
from mercato.ranking.v1 import ranking_service_pb2
from mercato.trainer.v1 import experiment_service_pb2 as pb
from scipy import stats

from services.gateway.bucketing import BUCKETS, layer_bucket, variant_bucket
from services.gateway.experiments import Experiments, Plan

PEOPLE = [f"person-{number}" for number in range(20_000)]


class Held:
    """Releases that every stage holds."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def __call__(self, tenant: str, release_id: str) -> bool:
        return release_id in self.ids


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
async def experiments(held: Held) -> Experiments:
    return Experiments(grpc.aio.insecure_channel("127.0.0.1:1"), held)


def running(
    experiment_id: str,
    layer: str,
    buckets: tuple[int, int],
    variants: dict[str, experiment_pb2.ExperimentParameters],
    *kinds: int,
    tenant: str = "shop",
) -> pb.RunningExperiment:
    share = 1.0 / len(variants)
    return pb.RunningExperiment(
        tenant=tenant,
        salt=f"salt of {experiment_id}",
        experiment=experiment_pb2.Experiment(
            experiment_id=experiment_id,
            layer=layer,
            buckets=[experiment_pb2.BucketRange(first=buckets[0], count=buckets[1])],
            list_kinds=kinds or [experiment_pb2.LIST_KIND_HOME],  # type: ignore[arg-type]
            variants=[
                experiment_pb2.ExperimentVariant(variant_id=name, share=share, parameters=parameters)
                for name, parameters in variants.items()
            ],
        ),
    )


def diversity(value: float) -> experiment_pb2.ExperimentParameters:
    return experiment_pb2.ExperimentParameters(diversity=value)


NOTHING = experiment_pb2.ExperimentParameters()


def even(counts: list[int]) -> bool:
    """Whether counts look like equal shares: chi-square, p > .001."""
    return bool(stats.chisquare(counts).pvalue > 1e-3)


def test_people_spread_evenly_over_buckets() -> None:
    for places in (
        [layer_bucket("shop", "ranking", one) for one in PEOPLE],
        [variant_bucket("a salt", one) for one in PEOPLE],
    ):
        tenths = Counter(place * 10 // BUCKETS for place in places)
        assert even([tenths[part] for part in range(10)])


def test_layers_salts_and_tenants_are_independent() -> None:
    def quadrants(first: list[int], second: list[int]) -> list[int]:
        pairs = Counter((a < BUCKETS // 2, b < BUCKETS // 2) for a, b in zip(first, second, strict=True))
        return [pairs[a, b] for a in (True, False) for b in (True, False)]

    layer = [layer_bucket("shop", "ranking", one) for one in PEOPLE]
    for other in (
        [layer_bucket("shop", "search", one) for one in PEOPLE],
        [layer_bucket("another", "ranking", one) for one in PEOPLE],
        [variant_bucket("a salt", one) for one in PEOPLE],
    ):
        assert even(quadrants(layer, other))
    salted = [variant_bucket("a salt", one) for one in PEOPLE]
    assert even(quadrants(salted, [variant_bucket("another", one) for one in PEOPLE]))


async def test_nobody_is_in_two_experiments_of_one_layer(experiments: Experiments) -> None:
    variants = {"control": NOTHING, "denser": diversity(0.1)}
    experiments.hear(
        pb.WatchExperimentsResponse(
            experiments=[
                running("one", "list", (0, 5000), variants),
                running("two", "list", (5000, 4000), variants),
                running("free", "other", (0, BUCKETS), {"a": NOTHING, "b": NOTHING}),
            ]
        )
    )
    counts: Counter[tuple[str, ...]] = Counter()
    for one in PEOPLE:
        counts[tuple(name for name, _ in experiments.plan("shop", "home", one).exposures)] += 1
    assert set(counts) == {("one", "free"), ("two", "free"), ("free",)}
    assert abs(counts["one", "free"] / len(PEOPLE) - 0.5) < 0.02
    assert abs(counts["free",] / len(PEOPLE) - 0.1) < 0.01


async def test_variants_get_their_shares_and_their_parameters(experiments: Experiments) -> None:
    blend = experiment_pb2.ExperimentParameters(
        ranker=experiment_pb2.VARIANT_RANKER_BLEND, exclude_purchased=True, personalized=False
    )
    experiments.hear(
        pb.WatchExperimentsResponse(experiments=[running("one", "one", (0, BUCKETS), {"a": NOTHING, "b": blend})])
    )
    plans = [experiments.plan("shop", "home", one) for one in PEOPLE]
    seen = Counter(plan.exposures for plan in plans)
    assert even([seen[("one", "a"),], seen[("one", "b"),]])
    for plan in plans[:200]:
        changed = plan.exposures == (("one", "b"),)
        assert plan.orderer == (ranking_service_pb2.ORDERER_BLEND if changed else 0)
        assert plan.personalized is not changed


async def test_a_person_sees_the_same_after_a_restart_and_in_another_gateway(held: Held) -> None:
    said = pb.WatchExperimentsResponse(
        experiments=[running("one", "one", (100, 7000), {"a": NOTHING, "b": diversity(0.5), "c": diversity(1.0)})]
    )
    found = []
    for _ in range(2):
        gateway = Experiments(grpc.aio.insecure_channel("127.0.0.1:1"), held)
        gateway.hear(pb.WatchExperimentsResponse.FromString(said.SerializeToString()))
        found.append([gateway.plan("shop", "home", one) for one in PEOPLE[:2000]])
    assert found[0] == found[1]


async def test_who_has_no_id_or_asks_elsewhere_or_says_it_all_takes_no_part(experiments: Experiments) -> None:
    variants = {"control": NOTHING, "denser": diversity(0.1)}
    experiments.hear(pb.WatchExperimentsResponse(experiments=[running("one", "one", (0, BUCKETS), variants)]))
    assert experiments.plan("shop", "home", "ann").exposures
    assert experiments.plan("shop", "home", "") == Plan()
    assert experiments.plan("shop", "cart", "ann") == Plan()
    assert experiments.plan("another", "home", "ann") == Plan()
    for one in PEOPLE[:50]:  # also of the variant that sets nothing: else variants would lose different people
        assert experiments.plan("shop", "home", one, ["diversity"]) == Plan()
        assert experiments.plan("shop", "home", one, ["revenue_weight"]).exposures


async def test_nobody_takes_part_before_every_stage_holds_the_release(experiments: Experiments, held: Held) -> None:
    release = experiment_pb2.ExperimentParameters(release_id="r2")
    said = running("one", "one", (0, BUCKETS), {"control": NOTHING, "new": release})
    experiments.hear(pb.WatchExperimentsResponse(experiments=[said]))
    assert all(not experiments.plan("shop", "home", one).exposures for one in PEOPLE[:50])
    held.ids.add("r2")
    plans = [experiments.plan("shop", "home", one) for one in PEOPLE[:50]]
    assert all(plan.about_releases for plan in plans), "people of the control are in no canary either"
    assert {plan.parameters.release_id for plan in plans} == {"", "r2"}


async def test_an_experiment_ends_at_its_end_while_the_trainer_is_away(experiments: Experiments) -> None:
    said = running("one", "one", (0, BUCKETS), {"control": NOTHING, "denser": diversity(0.1)})
    said.experiment.end_time.FromSeconds(int(time.time()) + 1000)
    experiments.hear(pb.WatchExperimentsResponse(experiments=[said]))
    assert experiments.plan("shop", "home", "ann").exposures
    said.experiment.end_time.FromSeconds(int(time.time()) - 1)
    experiments.hear(pb.WatchExperimentsResponse(experiments=[said]))
    assert not experiments.plan("shop", "home", "ann").exposures


async def test_what_is_not_named_any_more_is_over(experiments: Experiments) -> None:
    said = running("one", "one", (0, BUCKETS), {"control": NOTHING, "denser": diversity(0.1)})
    experiments.hear(pb.WatchExperimentsResponse(experiments=[said]))
    experiments.hear(pb.WatchExperimentsResponse())
    assert experiments.plan("shop", "home", "ann") == Plan()
