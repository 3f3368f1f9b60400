"""From events to what may be said of variants; many shops without a difference, looked at all the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from services.trainer.datasets.events import Request
from services.trainer.experiments.domain import Experiment, Metric, Money, Variant
from services.trainer.experiments.judge import Report, judge
from services.trainer.experiments.outcomes import OutcomeCounter, Outcomes
from services.trainer.learning.interactions import EventKind
from shared.evaluation.sequential import Verdict
from tests.fakes.trainer.event_rows import NOW_S, Row, chunk

NOW = datetime.fromtimestamp(NOW_S, UTC)
HOUR = 3600


def experiment(variants: int = 2, **changes: object) -> Experiment:
    share = 1.0 / variants
    names = tuple(Variant(variant_id="abcdefgh"[place], share=share) for place in range(variants))
    made = Experiment(experiment_id="x", variants=names, outcome_window_s=10.0 * HOUR, start_time=NOW)
    return replace(made, **changes)  # type: ignore[arg-type]


def answer(name: str, variant: str, at: int = NOW_S, of: str = "x") -> Request:
    exposures = (("elsewhere", "a"), (of, variant))
    return Request(key=name.encode(), release_id="r", list_kind="home", time_s=at, exposures=exposures)


def counted(rows: list[Row], requests: list[Request], now_s: float, one: Experiment | None = None) -> Outcomes:
    counter = OutcomeCounter(one or experiment(), NOW_S, NOW_S + 100 * HOUR)
    half = len(rows) // 2
    for part in (rows[half:], rows[:half]):  # in any order
        counter.add(chunk(part, requests))
    return counter.finish(now_s)


def shown(user: str, request: str, at: int = NOW_S) -> Row:
    return Row(user, "milk", EventKind.IMPRESSION, at, 1, request=request, position=0)


def bought(user: str, at: int, price: float = 2.0, currency: str = "USD") -> Row:
    return Row(user, "bread", EventKind.PURCHASE, at, 2, quantity=3, price=round(price * 1e6), currency=currency)


def test_what_a_person_does_in_the_window_after_the_first_list_counts() -> None:
    requests = [answer("q1", "a"), answer("q2", "b"), answer("q3", "b", NOW_S + 2 * HOUR)]
    rows = [
        shown("ann", "q1"),
        bought("ann", NOW_S - 1),  # before
        bought("ann", NOW_S + 11 * HOUR),  # after
        shown("bob", "q2"),
        replace(shown("bob", "q2", NOW_S + 5), kind=EventKind.CLICK),
        bought("bob", NOW_S + HOUR),
        bought("bob", NOW_S + HOUR, 1.0, "EUR"),
        shown("cem", "q3", NOW_S + 2 * HOUR),
        bought("dan", NOW_S + HOUR),  # was shown nothing
    ]
    found = counted(rows, requests, NOW_S + 11 * HOUR)
    assert found.variants.tolist() == [0, 1, 1]
    assert found.complete.tolist() == [True, True, False]
    assert found.clicked.tolist() == [False, True, False]
    assert found.bought.tolist() == [False, True, False]
    assert found.spent.tolist() == [0.0, 6.0, 0.0]
    assert (found.currency, found.unpriced) == ("USD", 1)
    assert (found.impressions, found.clicks) == ((1, 2), (0, 1))


def test_people_of_two_variants_are_left_out_and_counted() -> None:
    found = counted([shown("ann", "q1"), shown("ann", "q2")], [answer("q1", "a"), answer("q2", "b")], NOW_S)
    assert (len(found.variants), found.mixed) == (0, 1)


def test_answers_of_another_time_or_experiment_or_that_nobody_saw_do_not_count() -> None:
    requests = [answer("early", "a", NOW_S - 10), answer("late", "a", NOW_S + 101 * HOUR), answer("q", "a", of="y")]
    rows = [shown(f"u-{one.key.decode()}", one.key.decode()) for one in requests]
    rows.append(replace(shown("ann", "q2"), position=-1))
    found = counted(rows, [*requests, answer("q2", "a")], NOW_S)
    assert (len(found.variants), found.mixed) == (0, 0)


def outcomes(random: np.random.Generator, people: int, variants: int = 2, **lifts: float) -> Outcomes:
    """A shop: a fifth click, a tenth buy, baskets are very unequal; the last variant may be better."""
    arms = random.integers(0, variants, people)
    last = arms == variants - 1
    buy = random.random(people) < np.where(last, 0.1 * lifts.get("buy", 1.0), 0.1)
    return Outcomes(
        variants=arms,
        complete=np.ones(people, np.bool_),
        clicked=random.random(people) < np.where(last, 0.2 * lifts.get("click", 1.0), 0.2),
        bought=buy,
        spent=random.lognormal(3.0, 1.0, people) * buy,
        impressions=(0,) * variants,
        clicks=(0,) * variants,
        mixed=0,
        currency="USD",
        unpriced=0,
    )


def first(found: Outcomes, people: int) -> Outcomes:
    columns = {name: getattr(found, name)[:people] for name in ("variants", "complete", "clicked", "bought", "spent")}
    return replace(found, **columns)


def decided(report: Report) -> set[Metric]:
    return {
        one.metric for variant in report.variants[1:] for one in variant.metrics if one.verdict is not Verdict.UNDECIDED
    }


@pytest.mark.parametrize("variants", [2, 4])
def test_without_a_difference_no_metric_is_decided_too_often_at_any_look(variants: int) -> None:
    shops, wrong = 100, dict.fromkeys(Metric, 0)
    one = experiment(variants)
    for seed in range(shops):
        found = outcomes(np.random.default_rng([seed, variants]), 4000 * variants, variants)
        ever: set[Metric] = set()
        for people in range(400 * variants, 4000 * variants + 1, 400 * variants):
            ever |= decided(judge(one, first(found, people), NOW))
        for metric in ever:
            wrong[metric] += 1
    assert all(count / shops <= 0.05 for count in wrong.values()), wrong


def test_true_differences_are_found() -> None:
    reports = [
        judge(experiment(), outcomes(np.random.default_rng(seed), 20_000, buy=1.4, click=1.2), NOW)
        for seed in range(20)
    ]
    for metric in (Metric.CLICK_THROUGH, Metric.CONVERSION):
        assert sum(metric in decided(report) for report in reports) >= 18
    better = reports[0].variants[1].metrics[1]
    assert better.lift.low < 0.4 < better.lift.high
    assert reports[0].finding.startswith("b is better in conversion by +")


def test_intervals_are_wider_the_more_variants_are_compared() -> None:
    found = outcomes(np.random.default_rng(1), 30_000, 3)
    two = replace(found, variants=np.minimum(found.variants, 1))
    levels = [
        judge(experiment(count), part, NOW).variants[1].metrics[0].confidence for count, part in ((2, two), (3, found))
    ]
    assert levels == [pytest.approx(0.95), pytest.approx(0.975)]


def test_a_disaster_is_seen_before_there_are_fifty_buyers() -> None:
    found = outcomes(np.random.default_rng(4), 3000)
    found = replace(found, bought=found.bought & (found.variants == 0))
    report = judge(experiment(guardrails=(Metric.CONVERSION,)), found, NOW)
    assert list(report.worse()) == [("b", Metric.CONVERSION)]


def test_the_cap_bounds_what_one_person_counts() -> None:
    found = outcomes(np.random.default_rng(5), 4000)
    found.spent[0] = 1e6
    capped = judge(experiment(revenue_cap=Money(100.0, "USD")), found, NOW).variants
    place = int(found.variants[0])
    assert capped[place].revenue > 1e6
    assert capped[place].metrics[2].value < 10.0


def test_lost_people_make_the_report_unbelievable_and_say_so() -> None:
    found = outcomes(np.random.default_rng(6), 20_000)
    lost = (found.variants == 1) & (np.arange(20_000) % 5 == 0)
    columns = {name: getattr(found, name)[~lost] for name in ("variants", "complete", "clicked", "bought", "spent")}
    report = judge(experiment(), replace(found, **columns), NOW)
    assert report.mismatch
    assert report.finding.startswith("cannot be judged")
    assert "do not believe" in report.warnings[0]


def test_nobody_is_no_error() -> None:
    report = judge(experiment(3), outcomes(np.random.default_rng(7), 0, 3), NOW)
    assert report.finding == "b is undecided in conversion; c is undecided in conversion"
