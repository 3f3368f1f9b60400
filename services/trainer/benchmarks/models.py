"""Every model that can be measured, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from services.trainer.benchmarks.errors import BadChoice
from services.trainer.recommenders.interface import Recommender
from services.trainer.recommenders.registry import CLASSICAL, Setup


def _behaviour(preset: str) -> Callable[[Setup], Recommender]:
    """The behaviour transformer in one of its measured configurations."""

    def build_one(setup: Setup) -> Recommender:
        # Imported here: torch takes seconds, and a classical model must not pay for it in memory.
        from services.trainer.behaviour import presets
        from services.trainer.behaviour.recommender import BehaviourRecommender

        return BehaviourRecommender(replace(getattr(presets, preset.upper()), seed=setup.seed), f"behaviour-{preset}")

    return build_one


MODELS: Final[Mapping[str, Callable[[Setup], Recommender]]] = {
    **CLASSICAL,
    **{f"behaviour-{preset}": _behaviour(preset) for preset in ("ml1m", "amazon", "demo")},
}


def chosen(names: str) -> tuple[str, ...]:
    """Names from a list with commas. Raises BadChoice for a name that does not exist."""
    wanted = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    unknown = [name for name in wanted if name not in MODELS]
    if unknown or not wanted:
        raise BadChoice("models", ",".join(unknown), f"must be some of {', '.join(MODELS)}")
    return wanted


def build(name: str, setup: Setup) -> Recommender:
    """A model that has not learned yet."""
    return MODELS[name](setup)
