"""`python -m services.trainer.job FOLDER`: learns a release from the data set in a folder.

Prints one line of JSON a step; the last one may be `{"error": …}`, which is for people. Exit status 0: there is a
result, or what was given cannot be learnt from and the error says why. Anything else is a defect.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from services.trainer.job.pipeline import run_job
from shared.errors.base import MercatoError

NICENESS = 10
"""Serving goes first."""


def main() -> None:
    """Runs the job."""
    os.nice(NICENESS)
    try:
        run_job(Path(sys.argv[1]), lambda step, done, total: _say({"step": step, "done": done, "total": total}))
    except MercatoError as error:
        _say({"error": str(error)})


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
