"""The supervisor as a process: its lock, its state file, and nothing left when it is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.supervisor.adapters.data_folder import lock_holder
from tests.suites.identity_model import write_identity_model

PROJECT = Path(__file__).parents[3]
UNITS = ("postgres", "triton", "milvus")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    ignored = ("MERCATO_POSTGRES_DSN", "MERCATO_TRITON_ADDRESS", "MERCATO_MILVUS_URI")
    return {
        **{name: value for name, value in os.environ.items() if name not in ignored},
        "MERCATO_DATA": str(tmp_path / "data"),
        "MERCATO_SUPERVISOR_MODEL_COMMAND": "[]",
        "MERCATO_SUPERVISOR_MODEL_REPOSITORY": str(write_identity_model(tmp_path / "models")),
        "MERCATO_SUPERVISOR_METRICS": "false",
    }


@pytest.fixture
def supervisor(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = start(environment)
    yield process
    process.kill()
    process.wait()


def start(environment: dict[str, str], units: tuple[str, ...] = UNITS) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "services.supervisor", *units],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "ready\n":
            return
    pytest.fail("".join(lines) + (process.stderr.read() if process.stderr else ""))


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.05)


def descendants(root: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in found | {root}} - found:
        found |= more
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupt_during_the_start_ends_it_even_where_interrupts_were_ignored(environment: dict[str, str]) -> None:
    # As in what a shell without job control starts in the background.
    ignoring = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "services.supervisor", *UNITS]
    process = subprocess.Popen(ignoring, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not any(alive(pid) for pid in children)


def test_nothing_outlives_a_killed_supervisor_and_the_next_one_starts(
    supervisor: subprocess.Popen[str], environment: dict[str, str]
) -> None:
    await_ready(supervisor)
    processes = descendants(supervisor.pid)
    assert len(processes) >= 8  # PostgreSQL with its workers, Triton with two model processes, Milvus Lite
    supervisor.kill()
    supervisor.wait()
    until(lambda: not any(alive(pid) for pid in processes))
    again = start(environment)
    try:
        await_ready(again)
        again.send_signal(signal.SIGINT)
        assert again.wait(30) == 0
    finally:
        again.kill()


def test_a_second_run_is_refused_with_the_holder_named(
    supervisor: subprocess.Popen[str], environment: dict[str, str]
) -> None:
    await_ready(supervisor)
    second = start(environment)
    output, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    data = environment["MERCATO_DATA"]
    assert errors == f"error: {data} is in use by another run (process {supervisor.pid})\n"
    assert output == ""
    assert lock_holder(Path(data)) == supervisor.pid


def test_state_file_follows_the_run(supervisor: subprocess.Popen[str], environment: dict[str, str]) -> None:
    await_ready(supervisor)
    file = Path(environment["MERCATO_DATA"]) / "run" / "state.json"
    state = json.loads(file.read_text())
    assert state["supervisor"] == supervisor.pid
    assert {row["unit"]: row["state"] for row in state["units"]} == dict.fromkeys(UNITS, "ready")
    assert all(alive(row["pid"]) and row["port"] and row["restarts"] == 0 for row in state["units"])
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 0
    state = json.loads(file.read_text())
    assert {row["unit"]: row["state"] for row in state["units"]} == dict.fromkeys(UNITS, "stopped")
    assert lock_holder(Path(environment["MERCATO_DATA"])) is None


def test_a_stop_during_the_start_leaves_nothing(environment: dict[str, str]) -> None:
    process = start(environment)
    assert process.stdout is not None
    process.stdout.readline()
    left = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    until(lambda: not any(alive(pid) for pid in left))
    process.stdout.close()
