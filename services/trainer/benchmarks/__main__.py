"""`python -m services.trainer.benchmarks SET`: measures recommenders on a public data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import orjson
import typer

from services.trainer.benchmarks.comparing import compare_models
from services.trainer.benchmarks.errors import BadChoice
from services.trainer.benchmarks.models import MODELS, chosen
from services.trainer.benchmarks.results import as_json, as_markdown
from services.trainer.benchmarks.tasks import SETS, Choice, make_tasks
from shared.errors.base import MercatoError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def measure(  # noqa: PLR0913, PLR0917 - a parameter is an option
    data: Annotated[str, typer.Argument(help=f"One of {', '.join(SETS)}.")],
    path: Annotated[Path | None, typer.Option(help="Folder or file; the demo finds its package itself.")] = None,
    models: Annotated[str, typer.Option(help=f"With commas: {', '.join(MODELS)}.")] = "popularity,own-decayed,ease",
    protocols: Annotated[str, typer.Option(help="With commas: all, new (to the user), cold (products).")] = "all",
    days: Annotated[float, typer.Option(help="frame: the last so many days are foretold; 0: each last event.")] = 0.0,
    seeds: Annotated[str, typer.Option(help="With commas.")] = "0",
    baseline: Annotated[str, typer.Option(help="Differences are to this model; default: the first.")] = "",
    text: Annotated[str, typer.Option(help="How product texts are read: none, lsa, minilm.")] = "lsa",
    threads: Annotated[int, typer.Option(help="Of linear algebra.", min=1)] = 1,
    json: Annotated[Path | None, typer.Option(help="Writes figures here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Writes tables here, which are printed too.")] = None,
) -> None:
    """Full ranking; every choice that decides about comparability stands above its table."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    try:
        wanted = chosen(models)
        against = baseline or wanted[0]
        if against not in wanted:
            raise BadChoice("baseline", against, f"must be one of the models {', '.join(wanted)}")
        tasks = make_tasks(Choice(data=data, path=path, protocols=_parts(protocols), days=days, text=text))
        results = compare_models(tasks, wanted, _numbers(seeds), against, _progress)
    except MercatoError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    tables = "\n".join(as_markdown(result) for result in results)
    typer.echo(tables)
    if markdown is not None:
        markdown.write_text(tables)
    if json is not None:
        json.write_bytes(orjson.dumps([as_json(result) for result in results], option=orjson.OPT_INDENT_2))


def _parts(names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def _numbers(seeds: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(seed) for seed in _parts(seeds))) or (0,)
    except ValueError as error:
        raise BadChoice("seeds", seeds, "must be whole numbers with commas") from error


def _progress(step: str, done: int, total: int) -> None:
    typer.echo(f"{done}/{total} {step}", err=True)


def main() -> None:
    """Runs the command."""
    typer.run(measure)


if __name__ == "__main__":
    main()
