"""Drawings of a report, as SVG text. Needs matplotlib, which only reports need."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from services.cli.errors import CliError

BLUE, GREY, RED, GREEN = "#2b6cb0", "#8a99a8", "#c53030", "#2f855a"


def check_plots() -> None:
    """Raises CliError when reports cannot be drawn."""
    if find_spec("matplotlib") is None:
        raise CliError("--report needs matplotlib: install it with `pip install matplotlib` or `mercato[learning]`")


def bars(models: Mapping[str, Mapping[str, Any]], measure: str) -> str:
    """A measure of every model with its interval."""
    figure, axes = _figure(7.5, 0.8 + 0.45 * len(models))
    for place, row in enumerate(models.values()):
        _interval(axes, row[measure], place, BLUE)
    _names(axes, list(models))
    axes.set_xlabel(f"{measure}, 95 % interval")
    axes.set_xlim(left=0)
    return _svg(figure)


def slice_differences(slices: Mapping[str, Any], models: list[str], baseline: str) -> str:
    """The difference of each model from the baseline by slice: green above, red below, grey undecided."""
    height = 0.8 + 0.32 * len(slices)
    figure, grid = _figure(3.0 + 2.6 * len(models), height, columns=len(models))
    for axes, model in zip(grid, models, strict=True):
        for place, row in enumerate(slices.values()):
            difference = row["models"][model]["difference"]
            colour = GREEN if difference["low"] > 0 else RED if difference["high"] < 0 else GREY
            _interval(axes, difference, place, colour)
        axes.axvline(0, color="#1d2733", linewidth=0.8)
        axes.set_title(model, fontsize=10)
        axes.set_xlabel(f"against {baseline}", fontsize=8)
    _names(grid[0], [f"{name} ({row['households']})" for name, row in slices.items()])
    return _svg(figure)


def coverage_and_accuracy(models: Mapping[str, Mapping[str, Any]], measure: str) -> str:
    """Where each model stands: up is more accurate, right shows more of the catalogue."""
    figure, axes = _figure(7.0, 4.2)
    for name, row in models.items():
        axes.plot(row["coverage"], row[measure]["mean"], "o", color=BLUE)
        axes.annotate(name, (row["coverage"], row[measure]["mean"]), (6, 4), textcoords="offset points", fontsize=9)
    axes.margins(0.18)
    axes.set_xlabel("coverage of the catalogue")
    axes.set_ylabel(measure)
    return _svg(figure)


def reliability(bins: list[Mapping[str, float]]) -> str:
    """Predicted beside observed, on the axes of the predictions that occur."""
    figure, axes = _figure(5.0, 4.5)
    predicted = [row["predicted"] for row in bins]
    most = max(*predicted, *(row["high"] for row in bins), 1e-9)
    axes.plot([0, most], [0, most], color=GREY, linestyle="--", linewidth=1)
    below = [row["observed"] - row["low"] for row in bins]
    above = [row["high"] - row["observed"] for row in bins]
    axes.errorbar(predicted, [row["observed"] for row in bins], [below, above], color=BLUE, marker="o", capsize=2)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed share, 95 % interval")
    return _svg(figure)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "mercato"  # the same figures give the same file
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e6ebf0")
        axes.set_axisbelow(True)
    return figure, grid if columns > 1 else grid[0]


def _interval(axes: Any, row: Mapping[str, float], place: int, colour: str) -> None:
    axes.barh(place, row["mean"], height=0.6, color=colour, alpha=0.35)
    axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
    axes.plot(row["mean"], place, "o", color=colour, markersize=4)


def _names(axes: Any, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
