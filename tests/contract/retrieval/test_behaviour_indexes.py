"""The fake keeps the contract, so that tests on it mean something. Milvus: tests/integration/retrieval."""

import pytest

from tests.contract.retrieval.behaviour_indexes import BehaviourIndexesContract, index
from tests.fakes.retrieval.behaviour import FakeBehaviour

__all__ = ["index"]


class TestFakeBehaviour(BehaviourIndexesContract):
    @pytest.fixture
    async def stored(self) -> FakeBehaviour:
        return FakeBehaviour()
