"""What the images are made from, without building them; the build itself refuses a serving image with torch."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from deploy.images import lock

DOCKERFILE = (lock.ROOT / "Dockerfile").read_text()
TEMPLATES = lock.ROOT / "deploy" / "helm" / "mercato" / "templates"


def pins(name: str) -> dict[str, str]:
    """Version by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", (lock.LOCKS / f"{name}.txt").read_text(), re.MULTILINE))


def test_locks_were_made_from_the_projects_requirements() -> None:
    assert lock.stale() == []


def test_a_changed_requirement_makes_a_lock_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lock.TARGETS, "serving", lock.Lock(others=("left-pad>=1",)))
    assert lock.stale() == ["serving"]
    assert lock.main(["--check"]) == 1


@pytest.mark.parametrize("name", lock.TARGETS)
def test_a_lock_pins_what_is_required_with_hashes(name: str) -> None:
    pinned = pins(name)
    for line in lock.requirements(lock.TARGETS[name]):
        required = Requirement(line)
        version = Version(pinned[re.sub(r"[-_.]+", "-", required.name).lower()])
        assert required.specifier.contains(version, prereleases=True), line
    text = (lock.LOCKS / f"{name}.txt").read_text()
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pinned)
    assert all("--hash=sha256:" in block for block in blocks)


def test_serving_carries_nothing_that_only_learning_needs() -> None:
    assert not {"torch", "transformers", "onnxruntime", "lightgbm", "scikit-learn"} & set(pins("serving"))
    assert "torch" in pins("trainer")


def test_the_trainer_without_cuda_carries_no_cuda() -> None:
    assert [name for name in pins("trainer") if name.startswith("nvidia-")]
    assert not [name for name in pins("trainer-cpu") if name.startswith("nvidia-")]
    assert pins("trainer-cpu")["torch"].endswith("+cpu")


def test_both_images_agree_on_what_they_share() -> None:
    serving, trainer = pins("serving"), pins("trainer")
    differing = {name for name in serving if name in trainer and serving[name] != trainer[name]}
    assert not differing


def test_images_are_what_the_chart_expects() -> None:
    stages = set(re.findall(r"^FROM .* AS (\S+)$", DOCKERFILE, re.MULTILINE))
    templates = "".join(path.read_text() for path in TEMPLATES.iterdir())
    assert set(re.findall(r'"target" "([a-z-]+)"', templates)) <= stages
    assert 'ENTRYPOINT ["python"]' in DOCKERFILE
    assert "runAsUser: 10001" in templates
    assert "\nUSER 10001:10001\n" in DOCKERFILE
