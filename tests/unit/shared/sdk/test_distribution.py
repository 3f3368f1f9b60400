"""The client's own wheel: small, whole, and with nothing of the services in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_the_client_installs_alone(tmp_path: Path) -> None:
    for folder in ("sdk", "protogen"):
        kept = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT / "shared" / folder, tmp_path / "shared" / folder, ignore=kept)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path)]
    subprocess.run([*build, str(tmp_path / "shared" / "sdk")], check=True, timeout=300, capture_output=True)
    wheel = next(tmp_path.glob("mercato_client-*.whl"))
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    names = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"mercato_client", "mercato", "buf"}
    assert {path.name for path in (unpacked / "mercato").iterdir()} == {"__init__.py", "gateway", "errors"}
    code = f"import sys; sys.path.insert(0, {str(unpacked)!r}); import mercato_client, mercato; print(mercato.__file__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.startswith(str(unpacked))
