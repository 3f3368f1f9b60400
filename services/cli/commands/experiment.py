"""``mercato experiment``: create, list, show, start, stop, delete and report."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.message import Message
from mercato.gateway.v1 import experiment_pb2
from mercato.gateway.v1 import experiment_service_pb2 as pb
from rich.console import Console

from services.cli.client import Gateway, ask
from services.cli.evaluation.document import writer_for
from services.cli.experiments import showing, writing
from services.cli.output import table

REPORT_SECONDS = 300.0
experiment_app = typer.Typer(
    help="Show variants of answers to shares of people and compare what follows.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ExperimentId = Annotated[str, typer.Argument(help="The experiment's id.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(experiment_app, name="experiment")


def _show(out: Console, answer: Message) -> None:
    """The experiment that an answer holds."""
    experiment: experiment_pb2.Experiment = answer.experiment  # type: ignore[attr-defined]
    for line in showing.lines_of(experiment):
        out.print(line, markup=False)


@experiment_app.command("create")
def create(
    context: typer.Context,
    experiment: Annotated[str, typer.Argument(help="The id: lower-case letters, digits and hyphens.")] = "",
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[@SHARE][:PARAMETER=VALUE,…], the control first. Parameters: release, ranker (learned, blend), "
            "diversity, revenue_weight, exclude_purchased, personalized."
        ),
    ] = None,
    share: Annotated[float, typer.Option(min=0.0001, max=1.0, help="Share of all people.")] = 1.0,
    layer: Annotated[str, typer.Option(help="The exclusion group; default: one of its own.")] = "",
    kind: Annotated[
        list[str] | None, typer.Option("--list", help="A list that it changes: home, cart, search, …; default: all.")
    ] = None,
    days: Annotated[float, typer.Option(help="Outcome window.")] = 7.0,
    metric: Annotated[str, typer.Option(help="What decides: click-through, conversion, revenue.")] = "conversion",
    guardrail: Annotated[list[str] | None, typer.Option(help="Stop when a variant is worse in this metric.")] = None,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.2, help="Chance of a wrong finding a metric.")] = 0.05,
    cap: Annotated[str, typer.Option(help="The most that a person's revenue counts, such as '500 EUR'.")] = "",
    end: Annotated[str, typer.Option(help="When it stops by itself, such as 2026-12-24T18:00 (UTC).")] = "",
    about: Annotated[str, typer.Option(help="What is asked.")] = "",
    file: Annotated[Path | None, typer.Option(help="Take all from a file in the contract's JSON.")] = None,
) -> None:
    """Make an experiment; nobody sees it until it is started."""
    wanted = writing.experiment_in(file) if file is not None else experiment_pb2.Experiment()
    if file is None:
        wanted.share, wanted.layer, wanted.alpha, wanted.description = share, layer, alpha, about
        wanted.outcome_window.FromTimedelta(timedelta(days=days))
        wanted.primary_metric = writing.metric_of("--metric", metric)
        wanted.variants.extend(writing.variant_of(one) for one in variant or ())
        wanted.list_kinds.extend(writing.list_kind_of(one) for one in kind or ())
        wanted.guardrails.extend(writing.metric_of("--guardrail", one) for one in guardrail or ())
        if cap:
            wanted.revenue_cap.CopyFrom(writing.cap_of(cap))
        if end:
            wanted.end_time.FromDatetime(writing.moment_of(end))
    wanted.experiment_id = experiment or wanted.experiment_id
    request = pb.CreateExperimentRequest(experiment=wanted)

    def show(out: Console, answer: Message) -> None:
        _show(out, answer)
        out.print(f"next: mercato experiment start {wanted.experiment_id}", markup=False)

    ask(context, lambda gateway: gateway.call(gateway.experiments.CreateExperiment, request), show)


@experiment_app.command("list")
def list_experiments(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="Only draft, running or stopped ones.")] = "",
    size: Annotated[int, typer.Option("-n", min=1, max=100, help="How many.")] = 20,
) -> None:
    """List experiments, the latest first."""
    request = pb.ListExperimentsRequest(page_size=size)
    if state:
        request.state = writing.state_of(state)

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.ListExperimentsResponse)
        columns = ("experiment", "state", "layer", "people", "variants", "started")
        rows = [showing.summary_row(one) for one in answer.experiments]
        out.print(table("Experiments", columns, rows, right=("people",)))

    ask(context, lambda gateway: gateway.call(gateway.experiments.ListExperiments, request), show)


@experiment_app.command("show")
def show_experiment(context: typer.Context, experiment: ExperimentId) -> None:
    """Show one experiment."""
    request = pb.GetExperimentRequest(experiment_id=experiment)
    ask(context, lambda gateway: gateway.call(gateway.experiments.GetExperiment, request), _show)


@experiment_app.command("start")
def start(context: typer.Context, experiment: ExperimentId) -> None:
    """Start an experiment; gateways follow within seconds."""
    request = pb.StartExperimentRequest(experiment_id=experiment)
    ask(context, lambda gateway: gateway.call(gateway.experiments.StartExperiment, request), _show)


@experiment_app.command("stop")
def stop(context: typer.Context, experiment: ExperimentId) -> None:
    """Stop an experiment; everybody is answered as usual."""
    request = pb.StopExperimentRequest(experiment_id=experiment)
    ask(context, lambda gateway: gateway.call(gateway.experiments.StopExperiment, request), _show)


@experiment_app.command("delete")
def delete(context: typer.Context, experiment: ExperimentId) -> None:
    """Delete a draft or a stopped experiment."""
    request = pb.DeleteExperimentRequest(experiment_id=experiment)

    def show(out: Console, answer: Message) -> None:
        out.print(f"deleted: {experiment}", markup=False)

    ask(context, lambda gateway: gateway.call(gateway.experiments.DeleteExperiment, request), show)


@experiment_app.command("report")
def report(
    context: typer.Context,
    experiment: ExperimentId,
    out: Annotated[
        list[Path] | None, typer.Option("--out", help="Writes the report to a file: .html or .md; may be repeated.")
    ] = None,
) -> None:
    """Say what an experiment showed so far; look as often as you like."""
    request = pb.GetExperimentReportRequest(experiment_id=experiment)
    writers = [(path, writer_for(path, "--out")) for path in out or ()]

    def show(screen: Console, answer: Message) -> None:
        assert isinstance(answer, pb.GetExperimentReportResponse)
        for line in (*showing.lines_of(answer.report.experiment), "", *showing.headline(answer.report)):
            screen.print(line, markup=False)
        screen.print(table("Counted", showing.COUNTED, showing.counted_rows(answer.report), right=showing.COUNTED[1:]))
        title = "Compared with the control, by person, at any time"
        screen.print(table(title, showing.COLUMNS, showing.metric_rows(answer.report), right=showing.RIGHT))

    async def question(gateway: Gateway) -> Message:
        answer = await gateway.call(gateway.experiments.GetExperimentReport, request, REPORT_SECONDS)
        for path, write in writers:
            write(path, f"Experiment {experiment}", showing.blocks_of(answer.report))
        return answer

    ask(context, question, show)
