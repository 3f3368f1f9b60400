"""The examples for client authors: built from the contracts as they are and run against the live suite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Running

EXAMPLES = ROOT / "docs" / "examples"
TOOLS: dict[str, tuple[str, ...]] = {
    "python": (),
    "typescript": ("node", "npm"),
    "go": ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"),
    "java": ("javac", "protoc", "grpc_java_plugin"),
}
SAID = {
    "python": ("token True, events 1", "refused: INVALID_ARGUMENT INVALID_REQUEST ['page_size']"),
    "typescript": (
        "node: token true, list true, events 1",
        "browser: token true, list true, events 1",
        "refused: InvalidArgument INVALID_REQUEST page_size",
    ),
    "go": ("token true, events 1", "refused: InvalidArgument INVALID_REQUEST", "violation: page_size"),
    "java": ("token true, events 1", "refused: INVALID_ARGUMENT INVALID_REQUEST", "violation: page_size"),
}


def missing(language: str) -> list[str]:
    return [tool for tool in TOOLS[language] if shutil.which(tool) is None]


@pytest.mark.examples
@pytest.mark.parametrize("language", SAID)
def test_an_example_builds_and_runs(running: Running, tmp_path: Path, language: str) -> None:
    if absent := missing(language):
        reason = f"needs {', '.join(absent)}: see the head of docs/examples/{language}/run.sh"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    addresses = running.suite.suite.addresses
    tenant = f"{language}{time.time_ns()}"
    command = [str(EXAMPLES / language / "run.sh"), addresses["gateway"], addresses["envoy"], tenant, str(tmp_path)]
    if language == "python":
        command = [sys.executable, str(EXAMPLES / "python" / "example.py"), addresses["gateway"], tenant]
    # Debian's compiler makes what Debian's Go and Java libraries expect; for TypeScript ours does.
    protoc = {"PROTOC": f"{sys.executable} -m grpc_tools.protoc"} if language == "typescript" else {}
    roots = os.pathsep.join([str(ROOT / "shared" / "sdk"), str(ROOT / "shared" / "protogen")])
    environment = {**os.environ, **protoc, "PYTHONPATH": roots}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert "imported 2 products, 0 rejected" in lines
    assert [line for line in SAID[language] if line not in lines] == []
