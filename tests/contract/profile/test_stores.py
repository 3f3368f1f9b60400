"""The fake keeps the contract, so that tests on it mean something. PostgreSQL: tests/integration/profile."""

import pytest

from tests.contract.profile.stores import Stores, StoresContract
from tests.fakes.profile.stores import FakeStores


class TestFakeStores(StoresContract):
    @pytest.fixture
    async def stores(self) -> Stores:
        fake = FakeStores()
        return Stores(fake, fake, fake, fake, fake)
