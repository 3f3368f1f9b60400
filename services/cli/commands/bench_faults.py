"""``mercato bench-faults``: break a suite of its own under traffic, and report what callers saw."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import grpc
import typer

from services.cli.errors import CliError
from services.cli.output import console
from services.cli.settings import check_output, settings_of
from services.supervisor.errors import SupervisorError

if TYPE_CHECKING:  # the command line shall not wait for what one command needs
    from services.cli.faults.measure import Row
    from services.cli.faults.run import Options

GROUPS = ("processes", "network", "models", "disks", "clocks", "replicas", "certificates")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench-faults")(bench_faults)


def bench_faults(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Empty or new folder for the suites; default: a temporary one.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(GROUPS)}.", show_default=False)
    ] = None,
    only: Annotated[str, typer.Option(help="Only faults whose names contain this.")] = "",
    models: Annotated[Path | None, typer.Option(help="A model repository to use instead of writing one.")] = None,
    learn: Annotated[bool, typer.Option(help="Whether answers are ordered by models learnt before.")] = True,
    output: Annotated[Path, typer.Option(help="Where the table is written, as .json and .md.")] = Path(
        "faults-results.json"
    ),
) -> None:
    """Kill, pause, slow, cut, fill and corrupt a suite started for it; exit status 1 when something was lost."""
    out = console(stderr=settings_of(context).json)
    check_output(output)
    from services.cli.faults.report import faultless
    from services.cli.faults.run import Options

    if unknown := set(group or ()) - set(GROUPS):
        raise typer.BadParameter(f"no such group: {', '.join(sorted(unknown))}")
    options = Options(
        say=lambda line: out.print(line, markup=False, soft_wrap=True), models=models, learn=learn, only=only
    )
    with tempfile.TemporaryDirectory(prefix="mercato-faults-") as temporary:
        rows, ended = asyncio.run(_run(group or GROUPS, data or Path(temporary), options, output))
    out.print(f"{len(rows)} faults, written to {output} and {output.with_suffix('.md')}", markup=False)
    if bad := [*(row.fault for row in rows if not faultless(row)), *ended]:
        raise CliError(f"not as it should be: {', '.join(bad)}")


async def _run(groups: Sequence[str], data: Path, options: Options, output: Path) -> tuple[list[Row], list[str]]:
    """Rows, written one by one, and the groups that ended early."""
    from services.cli.faults.groups import RUNNERS
    from services.cli.faults.report import document, markdown

    rows: list[Row] = []
    ended: list[str] = []
    for name in groups:
        options.say(f"group {name}")
        try:
            async for row in RUNNERS[name](data / name, options):
                rows.append(row)
                output.write_text(json.dumps(document(rows), indent=1) + "\n")
                output.with_suffix(".md").write_text(markdown(rows))
        except (CliError, SupervisorError, grpc.aio.AioRpcError) as error:  # what was measured is worth a table
            options.say(f"group {name} ended early: {error}")
            ended.append(f"group {name}")
    return rows, ended
