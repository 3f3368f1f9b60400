"""What is counted of answers, and when a fault counts as survived."""

from __future__ import annotations

from dataclasses import replace

import grpc
from mercato.gateway.v1 import recommendation_pb2

from services.cli.faults.answers import Answer, Outcome, of_error, of_stages, summarize
from services.cli.faults.ledger import Audit, Ledger
from services.cli.faults.measure import KINDS, Row, last_bad
from services.cli.faults.report import faultless, markdown

CLEAN = Audit(100, [], [], 10, [], [])


def error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "why")


def answers() -> list[Answer]:
    missing = [recommendation_pb2.MissingStage(stage=recommendation_pb2.STAGE_RANKING)]
    outcomes = [
        of_stages([]),
        of_stages(missing),
        of_error(error(grpc.StatusCode.UNAVAILABLE)),
        of_error(error(grpc.StatusCode.DEADLINE_EXCEEDED)),
    ]
    return [Answer("search", 10.0 + at, 0.1 * at, *one) for at, one in enumerate(outcomes)]


def row(**changes: object) -> Row:
    empty = summarize([])
    made = Row(
        fault="ranking killed",
        how="SIGKILL",
        seconds=0.0,
        kinds=dict.fromkeys(KINDS, empty) | {"search": summarize(answers())},
        recovered_seconds=1.5,
        index_seconds=0.5,
        audit=CLEAN,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_answers_are_counted_by_how_they_ended() -> None:
    found = summarize(answers())
    assert (found.full, found.degraded, found.late) == (1, 1, 1)
    assert (found.missing, found.refused, found.failed) == ({"ranking": 1}, {"UNAVAILABLE": 1}, {})
    assert summarize([Answer("ask", 0, 0, *of_error(error(grpc.StatusCode.INTERNAL)))]).failed == {"INTERNAL: why": 1}


def test_recovery_is_the_last_request_that_was_not_answered_in_full() -> None:
    assert last_bad(answers(), 9.0) == 13.0
    assert last_bad([one for one in answers() if one.outcome is Outcome.FULL], 9.0) == 9.0


def test_the_table_says_what_callers_saw() -> None:
    line = markdown([row()]).splitlines()[2]
    assert "| ranking killed | SIGKILL | 1, 1 (ranking), 1 UNAVAILABLE, 1 |" in line
    assert "**" not in line


def test_a_fault_is_survived_when_all_is_back_and_the_books_agree() -> None:
    assert faultless(row())
    assert not faultless(row(recovered_seconds=None))
    assert not faultless(row(audit=replace(CLEAN, lost_events=["e-1"])))
    assert not faultless(row(audit=replace(CLEAN, wrong_in_index=["p-1"])))
    assert not faultless(row(problem="a process does not serve"))


def test_a_price_that_was_acknowledged_settles_those_sent_before() -> None:
    books = Ledger()
    books.price_sent("p", 5)
    books.price_stored("p", 5)
    books.price_sent("p", 6)
    assert (books.prices, books.unanswered_prices) == ({"p": 5}, {"p": {6}})
