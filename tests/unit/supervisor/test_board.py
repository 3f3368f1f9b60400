import asyncio
from pathlib import Path

from services.supervisor.board import StatusBoard
from services.supervisor.domain import Need, SuiteEvent, UnitState, UnitStatus


def board(**callbacks: object) -> StatusBoard:
    made = StatusBoard(Path("logs"), **callbacks)  # type: ignore[arg-type]
    made.add("postgres", "127.0.0.1:1", UnitState.WAITING)
    return made


async def test_a_need_is_met_by_readiness_or_by_the_start() -> None:
    made = board()
    ready = asyncio.create_task(made.until_met([Need("postgres")]))
    started = asyncio.create_task(made.until_met([Need("postgres", ready=False)]))
    await asyncio.sleep(0)
    made.move("postgres", UnitState.STARTING, pid=5)
    await asyncio.wait_for(started, 5)
    assert not ready.done()
    made.move("postgres", UnitState.READY, pid=5)
    await asyncio.wait_for(ready, 5)


async def test_external_and_unknown_units_hold_nobody_up() -> None:
    made = board()
    made.add("milvus", "http://elsewhere:19530", UnitState.EXTERNAL)
    await asyncio.wait_for(made.until_met([Need("milvus"), Need("somebody-elses")]), 5)


def test_failures_count_until_ready_and_restarts_for_ever() -> None:
    made = board()
    made.count_restart("postgres")
    made.count_restart("postgres")
    made.move("postgres", UnitState.BACKOFF)
    assert (made["postgres"].restarts, made["postgres"].failures) == (2, 2)
    made.move("postgres", UnitState.READY, pid=7)
    assert (made["postgres"].restarts, made["postgres"].failures) == (2, 0)


def test_each_change_is_told_once() -> None:
    events: list[SuiteEvent] = []
    changes: list[list[UnitStatus]] = []
    made = board(on_event=events.append, on_change=changes.append)
    for _ in range(3):
        made.move("postgres", UnitState.READY, pid=7)
    made.tell("postgres", "half done")
    assert [(event.state, event.message) for event in events] == [("ready", ""), ("ready", "half done")]
    assert events[0].log == Path("logs/postgres.log")
    assert len(changes) == 2


def test_ports_are_read_from_addresses() -> None:
    made = board()
    made.add("milvus", "http://127.0.0.1:19530/", UnitState.EXTERNAL)
    assert [row.port for row in made.rows()] == [1, 19530]
