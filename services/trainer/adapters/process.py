"""The training job as a process: it may import torch, take all cores and be killed; serving goes on."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from services.trainer.datasets.events import Report
from services.trainer.domain import TrainingKind
from services.trainer.errors import JobFailed, JobRefused

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
        with (folder / LOG).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-X",
                "faulthandler",  # a crash of native code leaves its place in the log
                "-m",
                "services.trainer.job",
                str(folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment(),
            )
        try:
            refusal = await _follow(process, report)
            status = await process.wait()
        finally:
            await _end(process)
        if refusal is not None:
            raise JobRefused(str(refusal["error"]))
        if status != 0:
            raise JobFailed(status, str(folder / LOG))

    def _environment(self) -> dict[str, str]:
        """Serving holds libraries to one thread; a job may use what it is given."""
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        # Threads that wait by spinning cost a busy machine ten times what they gain.
        return {**os.environ, **dict.fromkeys(names, str(self._threads)), "OMP_WAIT_POLICY": "PASSIVE"}


async def _follow(process: asyncio.subprocess.Process, report: Report) -> dict[str, Any] | None:
    """Passes progress on; returns what the job refused with."""
    assert process.stdout is not None
    async for line in process.stdout:
        said = json.loads(line)
        if "error" in said:
            return dict(said)
        report(said["step"], said["done"], said["total"])
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a process that still runs: politely, then not."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _missing() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]
