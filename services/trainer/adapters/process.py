"""The training job as a process: it may import torch, take all cores and be killed; serving goes on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from services.trainer.datasets.events import Report
from services.trainer.domain import TrainingKind
from services.trainer.errors import JobFailed, JobRefused

Process = subprocess.Popen[bytes]
LOG = "job.log"
NEEDED = ("torch", "lightgbm", "implicit", "sklearn", "onnx", "onnxmltools")
STOP_SECONDS = 5.0


class JobProcess:
    """Runs `python -m services.trainer.job FOLDER`; a line of JSON on its standard output is a step or an error."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    @staticmethod
    def can_learn() -> bool:
        """Whether the libraries that models are learnt with are installed."""
        return not _missing()

    def check(self, kind: TrainingKind) -> None:
        if kind is not TrainingKind.TABLES and (missing := _missing()):
            raise JobRefused(
                f"learning models needs {', '.join(missing)}: install 'mercato[models,learning]', or train tables",
                metadata={"missing": ", ".join(missing)},
            )

    async def run(self, folder: Path, report: Report) -> None:
        process = await asyncio.to_thread(self._start, folder)
        try:
            refusal = await _follow(process, report)
            status = await asyncio.to_thread(process.wait)
        finally:
            await asyncio.shield(asyncio.to_thread(_end, process))
        if refusal is not None:
            raise JobRefused(str(refusal["error"]))
        if status != 0:
            raise JobFailed(status, str(folder / LOG))

    def _start(self, folder: Path) -> Process:
        """By `subprocess`, which calls vfork: uvloop's fork would run gRPC's fork handlers, which crash the child."""
        command = [
            sys.executable,
            "-X",
            "faulthandler",  # a crash of native code leaves its place in the log
            "-m",
            "services.trainer.job",
            str(folder),
        ]
        with (folder / LOG).open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self._environment()
            )

    def _environment(self) -> dict[str, str]:
        """Serving holds libraries to one thread; a job may use what it is given."""
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        # Threads that wait by spinning cost a busy machine ten times what they gain.
        return {**os.environ, **dict.fromkeys(names, str(self._threads)), "OMP_WAIT_POLICY": "PASSIVE"}


async def _follow(process: Process, report: Report) -> dict[str, Any] | None:
    """Passes progress on; returns what the job refused with."""
    assert process.stdout is not None
    while line := await asyncio.to_thread(process.stdout.readline):
        said = json.loads(line)
        if "error" in said:
            return dict(said)
        report(said["step"], said["done"], said["total"])
    return None


def _end(process: Process) -> None:
    """Ends a process that still runs, politely, then not; its pipe is closed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _missing() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]
