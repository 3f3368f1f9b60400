"""What a call costs each unit."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from services.cli.bench.cost import cpu_ms, each_call, resident_mb


def test_time_is_shared_out_to_the_calls_of_a_run() -> None:
    before = {"gateway": 1000.0, "idle": 50.0, "ended": 10.0}
    after = {"gateway": 1500.0, "idle": 50.4, "new": 700.0}
    assert each_call(before, after, 100) == {"gateway": 5.0}


def test_a_run_without_calls_divides_by_nothing() -> None:
    assert each_call({"gateway": 0.0}, {"gateway": 3.0}, 0) == {"gateway": 3.0}


def test_children_count_with_their_unit() -> None:
    spend = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with subprocess.Popen([sys.executable, "-c", spend], start_new_session=True) as unit:
        try:
            deadline = time.monotonic() + 30
            while cpu_ms({"unit": unit.pid})["unit"] < 300:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            os.killpg(unit.pid, 9)


def test_a_process_that_is_gone_costs_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert cpu_ms({"gone": gone.pid}) == {"gone": 0.0}
    assert resident_mb({"gone": gone.pid}) == {"gone": 0.0}
    assert resident_mb({"us": os.getpid()})["us"] > 5
