"""Calibration of predicted probabilities that a training job has written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.cli.errors import CliError
from services.cli.evaluation.columns import numbers, read_columns
from shared.evaluation.calibration_error import expected_calibration_error, reliability


def calibration_of(path: Path) -> dict[str, Any]:
    """ECE and the reliability curve of the columns `predicted` and `outcome`. Raises CliError for a bad file."""
    columns = read_columns(path, ["predicted", "outcome"])
    predicted, outcomes = (numbers(path, name, values) for name, values in columns.items())
    try:
        curve = reliability(predicted, outcomes)
        error = expected_calibration_error(predicted, outcomes)
    except ValueError as wrong:
        raise CliError(f"{path}: {wrong}") from None
    fields = ("predicted", "observed", "low", "high", "counts")
    rows = zip(*(getattr(curve, field).tolist() for field in fields), strict=True)
    return {"rows": len(predicted), "ece": error, "bins": [dict(zip(fields, row, strict=True)) for row in rows]}
