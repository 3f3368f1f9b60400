"""Builds the images and says how large they are: `python -m deploy.images.build [target ...] [-- option ...]`.

Takes docker, or podman where there is no docker that answers (`--engine` decides). What stands behind `--` goes to the
engine's `build`; `trainer-cpu` is the trainer without CUDA.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINES = ("docker", "podman")
LOCKED = {"serving": "serving", "trainer": "trainer", "trainer-cpu": "trainer"}
"""Target of the Dockerfile by name of the image."""


class CannotBuild(Exception):
    """The message is for a person."""


@dataclass(frozen=True)
class Image:
    """What was built."""

    name: str
    bytes: int
    packages: int
    """Python packages in its bill of materials."""


def answering_engine() -> str:
    """The first engine that can be asked. Raises CannotBuild."""
    for engine in ENGINES:
        try:
            if subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0:
                return engine
        except FileNotFoundError:
            continue
    raise CannotBuild(f"none of {', '.join(ENGINES)} answers: install one, or name another with --engine")


def build(engine: str, name: str, options: Sequence[str]) -> Image:
    """Builds one image. Raises CalledProcessError."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tag = f"mercato-{name}:{version}"
    arguments = {"VERSION": version, "REVISION": _revision(), "TRAINER_LOCK": name}
    command = [engine, "build", "--target", LOCKED[name], "--tag", tag]
    for key, value in arguments.items():
        if key != "TRAINER_LOCK" or LOCKED[name] == "trainer":
            command += ["--build-arg", f"{key}={value}"]
    if engine == "podman":
        command += ["--format", "docker"]  # the other format has no health command
    subprocess.run([*command, *options, str(ROOT)], check=True)
    return _measured(engine, tag)


def table(images: Sequence[Image]) -> str:
    """In Markdown."""
    rows = [f"| `{one.name}` | {one.bytes / 1e6:,.0f} MB | {one.packages} |" for one in images]
    return "\n".join(["| image | unpacked | Python packages |", "|---|---|---|", *rows])


def _measured(engine: str, tag: str) -> Image:
    size = subprocess.run(
        [engine, "image", "inspect", "--format", "{{.Size}}", tag], capture_output=True, text=True, check=True
    )
    made = subprocess.run([engine, "create", tag], capture_output=True, text=True, check=True).stdout.strip()
    try:
        copied = subprocess.run([engine, "cp", f"{made}:/app/sbom.cdx.json", "-"], capture_output=True, check=True)
    finally:
        subprocess.run([engine, "rm", made], capture_output=True, check=True)
    return Image(tag, int(size.stdout), len(_bill(copied.stdout)["components"]))


def _bill(archive: bytes) -> dict[str, list[object]]:
    """The bill of materials out of what `cp` gives: an archive with one file."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        file = opened.extractfile(opened.getmembers()[0])
        assert file is not None
        found: dict[str, list[object]] = json.load(file)
    return found


def _revision() -> str:
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def main(arguments: Sequence[str]) -> int:
    """Builds what is named."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    own, options = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(prog="python -m deploy.images.build", description=__doc__)
    parser.add_argument("--engine", help="default: the first of docker and podman that answers")
    parser.add_argument("names", nargs="*", metavar="target", help=f"of {', '.join(LOCKED)}; default: serving, trainer")
    given = parser.parse_args(own)
    names = given.names or ["serving", "trainer"]
    if unknown := set(names) - set(LOCKED):
        parser.error(f"no such target: {', '.join(sorted(unknown))} (targets: {', '.join(LOCKED)})")
    try:
        engine = given.engine or answering_engine()
        images = [build(engine, name, options) for name in names]
    except CannotBuild as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"error: {error.cmd[0]} {error.cmd[1]} ended with {error.returncode}\n")
        return 1
    sys.stdout.write(f"\n{table(images)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
