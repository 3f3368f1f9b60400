"""The fake keeps the contract, so that tests on it mean something. Triton: tests/integration/encoder."""

import pytest

from tests.contract.encoder.text_model import TextModelContract
from tests.fakes.encoder.text_model import FakeTextModel


class TestFakeTextModel(TextModelContract):
    @pytest.fixture
    async def model(self) -> FakeTextModel:
        return FakeTextModel()
