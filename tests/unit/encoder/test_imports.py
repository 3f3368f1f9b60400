"""Serving stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "onnx", "onnxruntime", "sentence_transformers", "pandas"}


@pytest.mark.parametrize("module", ["services.encoder.wiring", "services.encoder.modelrepo.__main__"])
def test_no_training_library_is_imported(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    project = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={"PYTHONPATH": f"{project}:{project / 'shared' / 'protogen'}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"
