from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.ranking.settings import RankingSettings


def test_weights_of_placements_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RankingSettings().revenue_weights == {}
    monkeypatch.setenv("MERCATO_RANKING_REVENUE_WEIGHTS", '{"cart": 0.5, "home": 0}')
    assert RankingSettings().revenue_weights == {"cart": 0.5, "home": 0.0}


@pytest.mark.parametrize("value", ['{"basement": 0.5}', '{"cart": 1.5}', '{"cart": "much"}', "[]"])
def test_what_is_no_weight_of_a_placement_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MERCATO_RANKING_REVENUE_WEIGHTS", value)
    with pytest.raises(ValidationError, match="revenue_weights"):
        RankingSettings()
