"""What all pipelines that show products work with."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.answers import Answerer
from services.gateway.experiments import Experiments
from services.gateway.hydration import Hydrator
from services.gateway.profiles import Profiles
from services.gateway.releases import ReleaseChooser
from services.gateway.stubs import Stubs


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The services behind, and what the gateway knows itself."""

    stubs: Stubs
    hydrator: Hydrator
    profiles: Profiles
    releases: ReleaseChooser
    experiments: Experiments
    answerer: Answerer
