"""Experiments as people write them and read them on the command line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from mercato.gateway.v1 import experiment_pb2 as pb

from services.cli.errors import CliError
from services.cli.evaluation.document import writer_for
from services.cli.experiments import showing, writing


def test_a_variant_is_written_in_one_word() -> None:
    assert writing.variant_of("control") == pb.ExperimentVariant(variant_id="control")
    found = writing.variant_of("dense@0.3:diversity=0.6,ranker=blend,personalized=no,release=r-1")
    assert (found.variant_id, found.share) == ("dense", 0.3)
    parameters = pb.ExperimentParameters(
        diversity=0.6, ranker=pb.VARIANT_RANKER_BLEND, personalized=False, release_id="r-1"
    )
    assert found.parameters == parameters


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a:colour=red", "'colour' is no parameter"),
        ("a:diversity=much", "must be a number"),
        ("a:ranker=best", "learned, blend"),
        ("a@many", "must be"),
        ("", "NAME"),
    ],
)
def test_a_variant_that_cannot_be_is_one_clear_line(text: str, word: str) -> None:
    with pytest.raises(CliError, match=word):
        writing.variant_of(text)


def test_other_options_name_what_is_possible() -> None:
    assert writing.list_kind_of("product-page") == pb.LIST_KIND_PRODUCT_PAGE
    assert writing.metric_of("--metric", "click-through") == pb.EXPERIMENT_METRIC_CLICK_THROUGH
    assert writing.cap_of("499.5 EUR").nanos == 500_000_000
    for wrong in (
        lambda: writing.list_kind_of("everything"),
        lambda: writing.state_of("unspecified"),
        lambda: writing.cap_of("many"),
        lambda: writing.moment_of("tomorrow"),
        lambda: writing.experiment_in(Path("missing.json")),
    ):
        with pytest.raises(CliError):
            wrong()


def report() -> pb.ExperimentReport:
    metric = pb.MetricReport(
        metric=pb.EXPERIMENT_METRIC_CONVERSION, value=0.1, difference=0.01, difference_low=-0.005, difference_high=0.025,
        lift=0.1, lift_low=-0.05, lift_high=0.25, verdict=pb.EXPERIMENT_VERDICT_UNDECIDED, confidence=0.95, guardrail=True,
    )  # fmt: skip
    unknown = pb.MetricReport(
        metric=pb.EXPERIMENT_METRIC_REVENUE, value=2.5, difference_low=-math.inf, difference_high=math.inf,
        lift_low=-math.inf, lift_high=math.inf, confidence=0.95,
    )  # fmt: skip
    variants = [
        pb.VariantReport(variant_id=name, person_count=1200, complete_count=1000, impression_count=4000, click_count=100,
                         metrics=[metric, unknown])
        for name in ("control", "dense")
    ]  # fmt: skip
    experiment = pb.Experiment(
        experiment_id="dense-home", state=pb.EXPERIMENT_STATE_RUNNING, layer="ranking", share=0.2
    )
    ratio = pb.SampleRatio(p_value=0.4)
    finding = "dense is undecided in conversion"
    return pb.ExperimentReport(
        experiment=experiment,
        variants=variants,
        currency="EUR",
        finding=finding,
        sample_ratio=ratio,
        warnings=["careful"],
    )


def test_a_report_is_written_as_a_page(tmp_path: Path) -> None:
    for name in ("report.md", "report.html"):
        path = tmp_path / name
        writer_for(path, "--out")(path, "Experiment dense-home", showing.blocks_of(report()))
        text = path.read_text()
        for word in ("dense is undecided in conversion", "careful", "-0.500% to +2.500%", "too little known", "2.50%"):
            assert word in text, word
    with pytest.raises(CliError, match=r"--out: report.pdf must end in .html or .md"):
        writer_for(tmp_path / "report.pdf", "--out")


def test_the_control_is_compared_with_nothing() -> None:
    rows = showing.metric_rows(report())
    assert [row[-1] for row in rows if row[0] == "control"] == ["control", "control"]
    assert all(len(row) == len(showing.COLUMNS) for row in rows)
