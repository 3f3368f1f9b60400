"""What a person reads of an evaluation: tables on the terminal, or a report with drawings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.cli.evaluation import plots
from services.cli.evaluation.document import Block, Figure, Heading, Paragraph, Table, writer_for
from services.cli.evaluation.measures import MAIN
from services.cli.evaluation.summary import titled

TITLE = "Mercato: quality of recommendations"
SHORT = {
    "hit_rate@10": "hit@10",
    "novelty_bits": "novelty",
    "miscalibration_bits": "miscal.",
    "popularity_lift": "lift",
}
"""Heads of columns, where the name of the measure is long."""
GLOSSARY = (
    ("ndcg, recall, map, mrr, hit@k", "accuracy of the first k: higher is better; mrr: 1 / rank of the first hit"),
    ("revenue@k", "dollars paid in the test weeks for those of the first k that were bought"),
    ("novelty", "mean of -log2(share of households that bought the product before), in bits: higher is less obvious"),
    ("diversity", "share of pairs of the list that come from different departments"),
    ("miscal.", "divergence of the list's departments from the household's own mix, in bits: 0 is the same mix"),
    (
        "lift",
        "mean popularity of the list / of the household's own products, less 1: 0 is as mainstream as the household",
    ),
    ("coverage, gini", "share of products shown to anybody; inequality of their exposure, 0 to 1"),
)


def main_table(mode: Mapping[str, Any]) -> Table:
    """Every measure of every model."""
    models = mode["models"]
    measures = [name for name, value in next(iter(models.values())).items() if isinstance(value, dict)]
    others = [name for name in measures if name != MAIN]
    columns = ["", MAIN, "95 %", *(SHORT.get(name, name) for name in others), "coverage", "gini"]
    rows = []
    for name, row in models.items():
        main = row[MAIN]
        cells = [f"{main['mean']:.4f}", f"{main['low']:.4f} to {main['high']:.4f}"]
        cells += [f"{row[measure]['mean']:.3f}" for measure in others]
        rows.append([name, *cells, f"{row['coverage']:.4f}", f"{row['gini']:.4f}"])
    return Table(columns, rows)


def comparison_table(mode: Mapping[str, Any]) -> Table:
    """Paired comparison with the baseline."""
    rows = [
        [
            name,
            f"{row['mean']:+.4f}",
            f"{row['low']:+.4f} to {row['high']:+.4f}",
            f"{row['p']:.4f}",
            f"{row['p_holm']:.4f}",
        ]
        for name, row in mode["against_baseline"].items()
    ]
    return Table([f"against {mode['baseline']}", MAIN, "95 %", "p", "p (Holm)"], rows)


def slice_table(mode: Mapping[str, Any]) -> Table:
    """Mean of every model by slice; a star where its interval of the difference from the baseline leaves out 0."""
    rows = []
    for name, found in mode["slices"].items():
        cells = [f"{row['mean']:.4f}{_star(row['difference'])}" for row in found["models"].values()]
        rows.append([name, str(found["households"]), *cells])
    return Table(["slice", "households", *mode["models"]], rows)


def write_report(path: Path, summary: Mapping[str, Any]) -> None:
    """Writes the report; its form follows the file's ending (.html or .md)."""
    writer_for(path)(path, TITLE, list(_blocks(summary)))


def _blocks(summary: Mapping[str, Any]) -> Iterator[Block]:
    for name, mode in summary["modes"].items():
        yield from _mode_blocks(name, mode)
    if "calibration" in summary:
        yield from _calibration_blocks(summary["calibration"])
    yield Heading("Measures")
    yield Table(["measure", "meaning"], GLOSSARY)
    yield Heading("Protocol")
    yield Table(["choice", "as made here"], [[name, text] for name, text in summary["protocol"].items()])
    machine = ", ".join(f"{name} {value}" for name, value in summary["machine"].items())
    yield Paragraph(f"Seed {summary['seed']}; {machine}.")


def _mode_blocks(name: str, mode: Mapping[str, Any]) -> Iterator[Block]:
    baseline, models = mode["baseline"], mode["models"]
    yield Heading(titled(name, mode["households"]))
    yield Paragraph(_verdict(mode))
    yield Figure(f"{name}-accuracy", f"{MAIN} by model", plots.bars(models, MAIN))
    yield main_table(mode)
    yield comparison_table(mode)
    yield Figure(f"{name}-coverage", "Coverage and accuracy", plots.coverage_and_accuracy(models, MAIN))
    others = [model for model in models if model != baseline]
    caption = f"Difference from {baseline} by slice (households in brackets): green better, red worse, grey undecided"
    yield Figure(f"{name}-slices", caption, plots.slice_differences(mode["slices"], others, baseline))
    yield slice_table(mode)
    yield Paragraph(
        f"* the interval of the difference from {baseline} leaves out 0; slices are not corrected for their number."
    )


def _calibration_blocks(calibration: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(f"Reliability of predicted probabilities; {calibration['rows']:,} predictions")
    yield Paragraph(f"Expected calibration error {calibration['ece']:.4f}, bins of equal mass.")
    yield Figure("reliability", "Predicted and observed", plots.reliability(calibration["bins"]))


def _verdict(mode: Mapping[str, Any]) -> str:
    models = mode["models"]
    best = max(models, key=lambda name: models[name][MAIN]["mean"])
    if best == mode["baseline"]:
        return f"No model has a higher mean than the baseline, {best} ({models[best][MAIN]['mean']:.4f})."
    row = mode["against_baseline"][best]
    sure = "outside" if row["p_holm"] < 0.05 else "within"
    return (
        f"Best is {best}: {MAIN} {models[best][MAIN]['mean']:.4f}, {row['mean']:+.4f} against {mode['baseline']} "
        f"(95 %: {row['low']:+.4f} to {row['high']:+.4f}), {sure} what chance explains (p {row['p_holm']:.4f})."
    )


def _star(difference: Mapping[str, float]) -> str:
    return "" if difference["low"] <= 0 <= difference["high"] else " *"
