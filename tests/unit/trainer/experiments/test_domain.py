"""What experiments must be like, and which buckets they get."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercato.gateway.v1 import experiment_pb2 as pb

from services.trainer.errors import CannotStart, InvalidUpdateMask, WrongState
from services.trainer.experiments.converters import experiment_from_proto, experiment_to_proto, merger
from services.trainer.experiments.domain import (
    BUCKETS,
    Buckets,
    Experiment,
    ListKind,
    Metric,
    Money,
    Parameters,
    Ranker,
    State,
    Variant,
    allocate,
    clash,
)
from services.trainer.experiments.manage import MOST_LAYERS, MOST_RELEASES, begun
from services.trainer.experiments.rules import completed
from shared.errors.base import InvalidArgument

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(experiment_id: str, layer: str = "", share: float = 1.0, **parameters: object) -> Experiment:
    given = Parameters(**(parameters or {"diversity": 0.5}))  # type: ignore[arg-type]
    variants = (Variant(variant_id="control", share=0.0), Variant(variant_id="new", share=0.0, parameters=given))
    plain = Experiment(experiment_id=experiment_id, variants=variants, layer=layer, share=share, salt="0f")
    return completed(plain)


def started(*experiments: Experiment) -> list[Experiment]:
    running: list[Experiment] = []
    for one in experiments:
        running.append(begun(one, running, NOW))
    return running


ranges = st.lists(st.tuples(st.integers(0, BUCKETS - 1), st.integers(1, 3000)), max_size=6)


@given(ranges, st.integers(1, BUCKETS), st.integers(0, BUCKETS - 1))
def test_buckets_given_are_free_and_as_many_as_asked(taken: list[tuple[int, int]], count: int, start: int) -> None:
    owned = [Buckets(first, min(size, BUCKETS - first)) for first, size in taken]
    used = {place for one in owned for place in range(one.first, one.first + one.count)}
    found = allocate(count, owned, start)
    if found is None:
        assert BUCKETS - len(used) < count
        return
    places = [place for one in found for place in range(one.first, one.first + one.count)]
    assert len(places) == len(set(places)) == count
    assert not used & set(places)
    assert min(places) >= 0
    assert max(places) < BUCKETS


def test_experiments_of_one_layer_share_no_bucket_until_there_are_none() -> None:
    running = started(made("a", "list", 0.5), made("b", "list", 0.3), made("c", "list", 0.2))
    places = [place for one in running for part in one.buckets for place in range(part.first, part.first + part.count)]
    assert len(places) == len(set(places)) == BUCKETS
    with pytest.raises(CannotStart, match=r"0\.00% of people left, not 1\.00%"):
        begun(made("d", "list", 0.01), running, NOW)
    assert begun(made("d", "list", 0.2), running[:2], NOW).buckets == running[2].buckets


def test_the_same_parameter_of_the_same_list_is_changed_in_one_layer_only() -> None:
    running = started(made("a"))
    with pytest.raises(CannotStart, match="'a' of layer 'a' changes diversity of buy_again too"):
        begun(made("b"), running, NOW)
    begun(made("b", revenue_weight=0.5), running, NOW)
    home, cart = (replace(made("x", layer=kind), list_kinds=(kind,)) for kind in (ListKind.HOME, ListKind.CART))
    assert clash(home, cart) == ""
    assert clash(home, made("b")) == "diversity of home"


def test_running_experiments_are_bounded() -> None:
    same = Experiment(
        experiment_id="x",
        description="an A/A test",
        variants=(Variant(variant_id="a", share=0.5), Variant(variant_id="b", share=0.5)),
        salt="1",
    )
    running = started(*(completed(replace(same, experiment_id=f"e{n}")) for n in range(MOST_LAYERS)))
    with pytest.raises(CannotStart, match="at most 8 layers"):
        begun(completed(replace(same, experiment_id="more")), running, NOW)
    tried = started(*(made(f"r{n}", "releases", 0.1, release_id=f"r{n}") for n in range(MOST_RELEASES)))
    with pytest.raises(CannotStart, match="at most 2 releases"):
        begun(made("third", "releases", 0.1, release_id="r9"), tried, NOW)


def test_only_a_draft_whose_end_is_to_come_starts() -> None:
    with pytest.raises(WrongState):
        begun(started(made("a"))[0], [], NOW)
    with pytest.raises(CannotStart, match="end_time"):
        begun(replace(made("a"), end_time=NOW - timedelta(seconds=1)), [], NOW)


def test_all_violations_are_told() -> None:
    variants = (
        Variant(variant_id="a", share=0.5),
        Variant(variant_id="a", share=0.4, parameters=Parameters(diversity=0.5)),
    )
    wrong = Experiment(
        experiment_id="x", variants=variants, list_kinds=(ListKind.SEARCH,), revenue_cap=Money(0.0, "USD")
    )
    with pytest.raises(InvalidArgument) as error:
        completed(wrong)
    assert [one.field for one in error.value.violations] == [
        "experiment.variants[0].variant_id",
        "experiment.variants[1].variant_id",
        "experiment.variants",
        "experiment.variants[1].parameters.diversity",
        "experiment.revenue_cap",
    ]


def test_an_experiment_that_changes_nothing_must_say_why() -> None:
    same = (Variant(variant_id="a", share=0.0), Variant(variant_id="b", share=0.0))
    with pytest.raises(InvalidArgument, match="A/A"):
        completed(Experiment(experiment_id="x", variants=same))
    whole = completed(Experiment(experiment_id="x", variants=same, description="A/A: is the counting right?"))
    assert whole.changing_lists() == frozenset(ListKind)


def test_defaults_are_filled_in() -> None:
    whole = made("a")
    assert [one.share for one in whole.variants] == [0.5, 0.5]
    assert (whole.layer, whole.share, whole.outcome_window_s) == ("a", 1.0, 7 * 86_400)
    assert ListKind.SEARCH not in whole.changing_lists()


def test_a_message_says_the_same_back() -> None:
    given = replace(
        made("a", release_id="r2", ranker=Ranker.BLEND, exclude_purchased=False, personalized=True),
        description="why",
        list_kinds=(ListKind.HOME, ListKind.CART),
        guardrails=(Metric.REVENUE,),
        revenue_cap=Money(99.5, "EUR"),
        end_time=NOW,
        salt="",
    )
    message = experiment_to_proto(given)
    assert experiment_from_proto(pb.Experiment.FromString(message.SerializeToString())) == given


def test_a_mask_names_what_changes_and_nothing_that_is_read_only() -> None:
    stored = replace(made("a"), description="old", state=State.RUNNING)
    message = pb.Experiment(experiment_id="a", description="new", share=0.1)
    merge, harmless = merger(message, ["description"])
    assert merge(stored) == replace(stored, description="new")
    assert harmless
    merge, harmless = merger(message, [])
    assert merge(stored) == replace(stored, description="new", share=0.1)
    assert not harmless
    for path in ("state", "buckets", "nonsense", "variants.share"):
        with pytest.raises(InvalidUpdateMask):
            merger(message, [path])
