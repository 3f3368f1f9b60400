"""``mercato evaluate-policy``: what another policy would have earned, from logged impressions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli.errors import CliError
from services.cli.evaluation.logs import Columns, Evaluation, read_logs
from services.cli.output import console, table
from services.cli.settings import check_output, settings_of
from shared.evaluation.intervals import Resampling
from shared.evaluation.offpolicy import IntervalKind, OffPolicyConfig

NAMES = {"ips": "inverse propensity", "snips": "self-normalised", "dr": "doubly robust"}
PROTOCOL = {
    "ips": "mean of weight · reward, weight = target probability / propensity",
    "snips": "sum of weight · reward / sum of weights",
    "dr": "reward model's mean under the target policy + mean of weight · residual; the model is the mean reward by "
    "context and action, shrunk to the context's mean, cross-fitted in 5 folds",
    "target": "with --evaluation: shares of actions by context in the policy's own log, their uncertainty included in "
    "bootstrap intervals; with --target-probability: taken as known, then DR is not possible",
    "assumption": "rewards depend on context and action alone, and propensities are the ones that were used",
}


def evaluate_policy(
    context: typer.Context,
    log: Annotated[Path, typer.Option(help="CSV or Parquet: one row an impression of the policy that served.")],
    evaluation: Annotated[
        Path | None, typer.Option(help="A log of the policy to be judged: its shares of actions are estimated from it.")
    ] = None,
    target_probability: Annotated[
        str | None, typer.Option(help="Instead of --evaluation: column of --log with the judged policy's probability.")
    ] = None,
    action: Annotated[str, typer.Option(help="Column of the product that was shown.")] = "action",
    reward: Annotated[str, typer.Option(help="Column of what came of it: click or conversion, 0 or 1.")] = "reward",
    propensity: Annotated[str, typer.Option(help="Column of the chance with which it was shown.")] = "propensity",
    by: Annotated[
        list[str] | None, typer.Option("--context", help="Column that choices depend on; may be repeated.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column of rows that depend on each other, such as a request or visitor.")
    ] = None,
    clip: Annotated[float | None, typer.Option(help="Largest weight; default: no limit.")] = None,
    interval: Annotated[
        IntervalKind, typer.Option(help="bernstein holds for any size but needs --clip and rewards within 0..1.")
    ] = IntervalKind.BOOTSTRAP,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999)] = 0.95,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    output: Annotated[Path | None, typer.Option(help="Writes the figures as JSON.")] = None,
) -> None:
    """Estimate click-through or conversion of a policy that did not serve, from the log of one that did."""
    out = console(stderr=settings_of(context).json)
    check_output(output)
    columns = Columns(
        action=action,
        reward=reward,
        propensity=propensity,
        contexts=tuple(by if by is not None else ["position"]),
        group=group,
        target=target_probability,
    )
    try:
        config = OffPolicyConfig(clip=clip, interval=interval, resampling=Resampling(confidence=confidence, seed=seed))
        evaluated = read_logs(log, evaluation, columns).evaluate(config)
    except ValueError as error:
        raise CliError(f"{log}: {error}") from None
    summary = {**_plain(evaluated), "config": asdict(config), "protocol": PROTOCOL}
    if output is not None:
        output.write_text(json.dumps(summary, indent=1) + "\n")
    if settings_of(context).json:
        typer.echo(json.dumps(summary, indent=1))
    else:
        _show(out, evaluated, confidence)


def _plain(evaluated: Evaluation) -> dict[str, Any]:
    estimates = evaluated.estimates
    return {
        "estimates": {name: asdict(value) for name, value in estimates.values.items()},
        "logging_policy": asdict(estimates.logging),
        "own_log": asdict(evaluated.own) if evaluated.own else None,
        "diagnosis": {**asdict(estimates.diagnosis), "unsupported": evaluated.unsupported},
    }


def _show(out: Console, evaluated: Evaluation, confidence: float) -> None:
    estimates, diagnosis = evaluated.estimates, evaluated.estimates.diagnosis
    values = {f"judged policy, {NAMES[name]}": value for name, value in estimates.values.items()}
    if evaluated.own is not None:
        values["judged policy, its own log"] = evaluated.own
    values["policy that served"] = estimates.logging
    rows = [[name, f"{row.mean:.5f}", f"{row.low:.5f} to {row.high:.5f}"] for name, row in values.items()]
    columns = ["", "reward per row", f"{confidence * 100:.3g} % interval"]
    out.print(table("Off-policy evaluation", columns, rows, right=columns[1:]))
    out.print(
        f"{diagnosis.rows:,} rows, effective sample size {diagnosis.effective_sample_size:,.0f}; mean weight "
        f"{diagnosis.mean_weight:.3f} (1 is right), largest {diagnosis.largest_weight:.1f}, cut {diagnosis.clipped:,}"
    )
    if evaluated.unsupported:
        out.print(f"{evaluated.unsupported:.1%} of the judged policy's choices never occur in the log: not estimated")
