"""What all pipelines that show products work with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from services.gateway.answers import Answerer
from services.gateway.experiments import Experiments, Plan
from services.gateway.hydration import Hydrator
from services.gateway.profiles import Profiles
from services.gateway.releases import Choice, ReleaseChooser
from services.gateway.stubs import Stubs
from shared.context.request import current_tenant


class Personal(Protocol):
    """A request that says who is asking."""

    @property
    def user_id(self) -> str:
        """Empty: not known."""

    @property
    def visitor_id(self) -> str:
        """Empty: not known."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The services behind, and what the gateway knows itself."""

    stubs: Stubs
    hydrator: Hydrator
    profiles: Profiles
    releases: ReleaseChooser
    experiments: Experiments
    answerer: Answerer

    def choose(self, list_kind: str, request: Personal, stated: Collection[str] = ()) -> tuple[Plan, Choice]:
        """What experiments change for the person of a request, and the release that answers. Never waits."""
        tenant, person = current_tenant(), request.user_id or request.visitor_id
        plan = self.experiments.plan(tenant, list_kind, person, stated)
        release_id = plan.parameters.release_id if plan.about_releases else None
        return plan, self.releases.choose(tenant, person, release_id)
