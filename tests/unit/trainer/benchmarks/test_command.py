"""The command end to end on a tiny table."""

import os

import orjson
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from services.trainer.benchmarks.__main__ import THREAD_VARIABLES, measure
from tests.unit.trainer.recommenders.shops import shop


@pytest.fixture
def command(monkeypatch):
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, os.environ.get(variable, "1"))
    app = typer.Typer()
    app.command()(measure)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def table(tmp_path):
    rows = shop()
    path = tmp_path / "log.parquet"
    pd.DataFrame({"user": rows.users, "product": rows.products, "time": rows.times_s}).to_parquet(path)
    return path


def test_models_are_measured_and_written(command, table, tmp_path):
    outcome = command(
        "frame", "--path", table, "--days", 30, "--models", "popularity,own-decayed",
        "--json", tmp_path / "out.json", "--markdown", tmp_path / "out.md",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    (result,) = orjson.loads((tmp_path / "out.json").read_bytes())
    assert result["task"] == "frame/all"
    assert result["baseline"] == "popularity"
    popular, own = result["models"]
    assert own["measures"]["ndcg@10"]["mean"] > popular["measures"]["ndcg@10"]["mean"]
    assert own["ndcg@10_difference"]["low"] > 0
    assert min(own["fit_seconds"], own["peak_mib"]) > 0
    assert "| own-decayed |" in (tmp_path / "out.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["films"], "must be one of ml1m, amazon, demo, frame"),
        (["frame"], "frame needs --path"),
        (["frame", "--models", "magic"], "models 'magic': must be some of popularity"),
        (["frame", "--baseline", "ease", "--models", "own"], "baseline 'ease'"),
        (["frame", "--protocols", "hot"], "protocols 'hot': must be some of all, new, cold"),
        (["frame", "--path", "none.csv", "--seeds", "one"], "seeds 'one'"),
        (["frame", "--path", "none.csv"], "must be an existing .parquet or .csv file"),
    ],
)
def test_wrong_options_are_refused_by_name_value_and_rule(command, table, arguments, message):
    if "seeds" in message:
        arguments = [table if argument == "none.csv" else argument for argument in arguments]
    outcome = command(*arguments)
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.output.split())


def test_what_a_model_lacks_is_told_across_processes(command, table):
    outcome = command("frame", "--path", table, "--days", 30, "--models", "content")
    assert outcome.exit_code == 2
    assert "content has nothing to learn from: products have no text vectors" in " ".join(outcome.output.split())
