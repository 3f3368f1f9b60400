from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.errors import CliError

ACTIONS = 5
RATES = np.array([[0.02, 0.05, 0.1, 0.2, 0.3], [0.05, 0.02, 0.1, 0.1, 0.2]])
TARGET = np.array([[0.1, 0.1, 0.1, 0.2, 0.5], [0.5, 0.2, 0.1, 0.1, 0.1]])


def impressions(seed: int, rows: int, policy: np.ndarray) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    place = random.integers(0, 2, rows)
    action = np.array([random.choice(ACTIONS, p=policy[one]) for one in place])
    return pd.DataFrame(
        {
            "action": [f"sku-{one}" for one in action],
            "position": place + 1,
            "reward": (random.random(rows) < RATES[place, action]).astype(int),
            "propensity": policy[place, action],
            "target": TARGET[place, action],
            "request": np.arange(rows) // 2,
        }
    )


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("logs")
    impressions(0, 4000, np.full((2, ACTIONS), 0.2)).to_csv(folder / "log.csv", index=False)
    impressions(1, 4000, TARGET).to_parquet(folder / "own.parquet")
    return str(folder / "log.csv"), str(folder / "own.parquet")


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["--json", "evaluate-policy", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_judged_policy_is_found_from_another_ones_log(logs: tuple[str, str]) -> None:
    value = float((TARGET * RATES).sum(axis=1).mean())
    found = run("--log", logs[0], "--evaluation", logs[1])
    assert set(found["estimates"]) == {"ips", "snips", "dr"}
    for estimate in found["estimates"].values():
        assert estimate["low"] < value < estimate["high"]
    own, serving = found["own_log"], found["logging_policy"]
    assert own["low"] < value < own["high"]
    assert not serving["low"] < value < serving["high"], "the policies differ, so agreement means something"
    assert found["diagnosis"]["mean_weight"] == pytest.approx(1, abs=0.05)


def test_known_probabilities_of_rows(logs: tuple[str, str]) -> None:
    found = run("--log", logs[0], "--target-probability", "target", "--group", "request", "--clip", "2")
    assert set(found["estimates"]) == {"ips", "snips"}
    assert found["own_log"] is None
    assert found["diagnosis"]["clipped"] > 0
    assert found["diagnosis"]["largest_weight"] == 2.0


def test_names_of_columns_and_the_table_for_people(logs: tuple[str, str], tmp_path: Path) -> None:
    for source, name in ((logs[0], "log"), (logs[1], "own")):
        frame = pd.read_csv(source) if source.endswith("csv") else pd.read_parquet(source)
        frame.rename(columns={"action": "item", "reward": "click", "propensity": "p", "position": "slot"}).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    names = ("--action", "item", "--reward", "click", "--propensity", "p", "--context", "slot")
    files = ("--log", str(tmp_path / "log.csv"), "--evaluation", str(tmp_path / "own.csv"))
    assert run(*files, *names)["estimates"] == run("--log", logs[0], "--evaluation", logs[1])["estimates"]
    result = CliRunner().invoke(app, ["evaluate-policy", *files, *names, "--output", str(tmp_path / "out.json")])
    assert "doubly robust" in result.output
    assert json.loads((tmp_path / "out.json").read_text())["protocol"]["assumption"]


def test_rows_of_a_request_are_drawn_together_in_both_logs(logs: tuple[str, str], tmp_path: Path) -> None:
    """Rows that are written four times say no more when their copies are one group."""
    for source, name in ((pd.read_csv(logs[0]), "log"), (pd.read_parquet(logs[1]), "own")):
        numbered = source.assign(request=np.arange(len(source)))
        pd.concat([numbered] * 4).to_csv(tmp_path / f"{name}.csv", index=False)
    once = run("--log", logs[0], "--evaluation", logs[1])
    files = ("--log", str(tmp_path / "log.csv"), "--evaluation", str(tmp_path / "own.csv"))
    grouped, alone = run(*files, "--group", "request"), run(*files)

    def width(found: dict[str, float]) -> float:
        return found["high"] - found["low"]

    assert width(grouped["own_log"]) == pytest.approx(width(once["own_log"]), rel=0.1)
    assert width(grouped["logging_policy"]) == pytest.approx(width(once["logging_policy"]), rel=0.1)
    assert width(alone["own_log"]) == pytest.approx(width(once["own_log"]) / 2, rel=0.1)


def refusal(*arguments: str) -> str:
    with pytest.raises(CliError) as caught:
        CliRunner().invoke(app, ["evaluate-policy", *arguments], catch_exceptions=False)
    return str(caught.value)


def test_refusals_name_row_and_field(logs: tuple[str, str], tmp_path: Path) -> None:
    frame = pd.read_csv(logs[0])
    bad = str(tmp_path / "bad.csv")
    frame.assign(propensity=frame["propensity"].where(frame.index != 17, 0.0)).to_csv(bad, index=False)
    assert "propensity[17] is 0.0: must be > 0" in refusal("--log", bad, "--evaluation", logs[1])
    frame.assign(reward=frame["reward"].where(frame.index != 5)).to_csv(bad, index=False)
    assert "reward[5] is empty" in refusal("--log", bad, "--evaluation", logs[1])
    frame.assign(reward="yes").to_csv(bad, index=False)
    assert "column reward must hold numbers" in refusal("--log", bad, "--evaluation", logs[1])
    assert "no column nothing" in refusal("--log", logs[0], "--target-probability", "nothing")
    assert "either --evaluation" in refusal("--log", logs[0])
    assert "clip is None" in refusal("--log", logs[0], "--evaluation", logs[1], "--interval", "bernstein")
    assert "missing.csv" in refusal("--log", str(tmp_path / "missing.csv"), "--evaluation", logs[1])
