"""Renders the chart with the real helm."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm.tools import checkers, helm

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "mercato"
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = CHART / "ci" / "minimal-values.yaml"


class Refused(Exception):
    """Helm said no; the message is what it said."""


@dataclass(frozen=True)
class Rendered:
    """Objects of a rendering."""

    objects: list[dict[str, Any]]

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Objects of a kind by name."""
        return {one["metadata"]["name"]: one for one in self.objects if one["kind"] == kind}

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """An object. Raises KeyError."""
        return self.all(kind)[name]

    def pods(self) -> dict[str, dict[str, Any]]:
        """Pod templates by kind and name."""
        found = {}
        for one in self.objects:
            spec = one.get("spec", {})
            if one["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if one["kind"] in ("Deployment", "Job", "CronJob"):
                found[f"{one['kind']}/{one['metadata']['name']}"] = spec["template"]
        return found


Render = Callable[..., Rendered]


@pytest.fixture(scope="session")
def render() -> Render:
    """`render(values, *files, release=...)`: values are laid over the files (default: the minimal example)."""

    def rendered(values: dict[str, Any] | None = None, *files: Path, release: str = "m") -> Rendered:
        command = [str(helm()), "template", release, str(CHART), "--namespace", "shop"]
        for file in files or (MINIMAL,):
            command += ["--values", str(file)]
        command += ["--values", "-"]
        answer = subprocess.run(
            command, input=yaml.safe_dump(values or {}), capture_output=True, text=True, check=False
        )
        if answer.returncode:
            raise Refused(answer.stderr)
        return Rendered([one for one in yaml.safe_load_all(answer.stdout) if one])

    return rendered


@pytest.fixture(scope="session")
def programs() -> Path:
    """Folder with checkov and kubernetes-validate."""
    return checkers()


def names(objects: Iterable[dict[str, Any]]) -> set[str]:
    """Kind and name of each."""
    return {f"{one['kind']}/{one['metadata']['name']}" for one in objects}
