"""What all tests of retrieval share."""

from __future__ import annotations

import random

import pytest


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> tuple[tuple[str, str], ...]:
    seed = random.Random(request.node.name).randrange(10**9)
    return (("mercato-tenant", f"t{seed}"),)
