"""``mercato evaluate``: the quality of recommendations, through the code path that serves, beside simple baselines."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import tempfile
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import grpc
import numpy as np
import typer
from mercato.gateway.v1 import operations_service_pb2 as pb
from rich.console import Console

from services.cli.client import Gateway, connect
from services.cli.commands.evaluate_policy import evaluate_policy
from services.cli.commands.train import train_release
from services.cli.commands.up import wait_indexed
from services.cli.demo import shop as demo
from services.cli.evaluation.baselines import OWN_HALF_LIFE_DAYS, most_popular, own_most_bought
from services.cli.evaluation.calibration import calibration_of
from services.cli.evaluation.document import writer_for
from services.cli.evaluation.measures import Background, measure
from services.cli.evaluation.plots import check_plots
from services.cli.evaluation.protocol import MODES, SEED
from services.cli.evaluation.report import comparison_table, main_table, slice_table, write_report
from services.cli.evaluation.serving import Lists, Served, release_in_use
from services.cli.evaluation.split import Split, make_split
from services.cli.evaluation.summary import Results, summarise, titled
from services.cli.importing.items import EVENTS, PRODUCTS, Kind, batched
from services.cli.importing.rejects import RejectsFile
from services.cli.importing.stream import ImportStream
from services.cli.output import Meter, console, table
from services.cli.settings import CliSettings, check_output, settings_of
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite


class Ask(Protocol):
    """Asks for lists of many households."""

    def __call__(self, users: Sequence[int], meter: Meter, *, only_new: bool) -> Awaitable[Lists]:
        """Returns a list for each."""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("evaluate")(evaluate)
    app.command("evaluate-policy")(evaluate_policy)


def evaluate(
    context: typer.Context,
    households: Annotated[int, typer.Option(min=10, help="Test households; fewer is faster.")] = 10_000,
    output: Annotated[Path | None, typer.Option(help="Writes the figures as JSON.")] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="Writes a report with drawings: .html or .md; may be repeated.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet with predicted (probability) and outcome (0 or 1): adds their reliability."),
    ] = None,
) -> None:
    """Measure recommendations on the demo's last four weeks, in a suite that has seen only the weeks before."""
    out = console(stderr=settings_of(context).json)
    for path in (output, *(report or ())):
        check_output(path)
    for path in report or ():
        writer_for(path)
        check_plots()
    calibration = {} if predictions is None else {"calibration": calibration_of(predictions)}
    with tempfile.TemporaryDirectory(prefix="mercato-evaluate-") as folder:
        results = asyncio.run(_evaluate(Path(folder), households, out))
    with Meter(out, "intervals and tests"):
        machine = {"platform": platform.platform(), "python": platform.python_version()}
        summary = summarise(results, machine) | calibration
    if output is not None:
        output.write_text(json.dumps(summary, indent=1) + "\n")
    for path in report or ():
        write_report(path, summary)
        out.print(f"written to {path}", markup=False)
    if settings_of(context).json:
        typer.echo(json.dumps(summary, indent=1))
    else:
        _show(out, summary)


async def _evaluate(folder: Path, households: int, out: Console) -> Results:
    with Meter(out, "cutting the demo's year"):
        split = await asyncio.to_thread(make_split)
    users = _sample(sorted(split.truth), households)
    models = Path("data") / "models"
    if models.is_dir():  # the exported encoder is the same for everybody
        await asyncio.to_thread(shutil.copytree, models, folder / "models")
    # Of its own entirely: systems that the environment names belong to a shop.
    settings = SupervisorSettings(
        data=folder,
        gateway_address="127.0.0.1:0",
        http_address="off",
        metrics=False,
        postgres_dsn=None,
        milvus_uri=None,
        triton_address=None,
        ports={},
        tls=False,
    )
    with Meter(out, "starting a suite of its own"):
        suite = Suite(settings)
        await suite.__aenter__()
    try:
        await suite.wait_ready()
        options = CliSettings(address=suite.addresses["gateway"])
        async with connect(options) as gateway, grpc.aio.insecure_channel(suite.addresses["retrieval"]) as retrieval:
            await _load(gateway, split, folder, out)
            served, lists = Served(gateway, retrieval, split), {}
            await release_in_use(gateway, split.users[users[0]])
            for mode in MODES:
                lists[mode] = await _lists(served, split, _users(split, users, mode), out, only_new=mode == "new")
            await _learn(gateway, split.users[users[0]], out)
            for mode in MODES:
                asked = _users(split, users, mode)
                for name, ask in (("learned", served.recommended), ("learned, by revenue", _by_revenue(served))):
                    lists[mode][name] = await _ask(ask, name, asked, out, only_new=mode == "new")
            return _measured(lists, split, users)
    finally:
        await suite.__aexit__(None, None, None)


async def _load(gateway: Gateway, split: Split, folder: Path, out: Console) -> None:
    for kind, items, total in (
        (PRODUCTS, demo.iter_products(split.shop), len(split.shop.products)),
        (EVENTS, demo.iter_purchases(split.shop), split.shop.basket_count),
    ):
        await _send(gateway, kind, items, total, folder, out)
    await train_release(gateway, out, pb.TrainRequest(kind=pb.TRAINING_KIND_TABLES))
    await wait_indexed(gateway, out)


async def _learn(gateway: Gateway, user: str, out: Console) -> None:
    """A release with learned models in the place of the one with tables alone, whatever its gate says."""
    release = await train_release(gateway, out, pb.TrainRequest(kind=pb.TRAINING_KIND_FULL))
    if not release.current:
        await gateway.call(gateway.operations.PromoteRelease, pb.PromoteReleaseRequest(release_id=release.release_id))
    await release_in_use(gateway, user, release.release_id)


async def _send(gateway: Gateway, kind: Kind, items: Iterator[Any], total: int, folder: Path, out: Console) -> None:
    with (
        RejectsFile(folder / "rejects.jsonl") as sink,
        _meter(out, f"importing {kind.name}", total, kind.name) as meter,
    ):
        numbered = ((item, ("demo", number)) for number, item in enumerate(items, 1))
        stream = ImportStream(gateway, kind, sink, lambda tally, note: meter.update(tally.answered, note=note))
        await stream.run(batched(kind, numbered))


def _users(split: Split, users: Sequence[int], mode: str) -> list[int]:
    return list(_truth(split, users, only_new=mode == "new"))


def _measured(lists: Mapping[str, Mapping[str, Lists]], split: Split, users: Sequence[int]) -> Results:
    results = {}
    for mode, models in lists.items():
        background = Background.of(split, _truth(split, users, only_new=mode == "new"))
        results[mode] = {name: measure(ranked, background) for name, ranked in models.items()}
    return results


async def _lists(
    served: Served, split: Split, users: Sequence[int], out: Console, *, only_new: bool
) -> dict[str, Lists]:
    lists: dict[str, Lists] = {"popularity": most_popular(split, users, only_new=only_new)}
    if not only_new:
        lists["own most-bought"] = own_most_bought(split, users, None)
        lists["own most-bought, decayed"] = own_most_bought(split, users, OWN_HALF_LIFE_DAYS)
    for name, ask in (
        ("item-to-item", served.item_to_item),
        ("content", served.content),
        ("blend", served.recommended),
        ("blend, by price", _by_revenue(served)),
    ):
        lists[name] = await _ask(ask, name, users, out, only_new=only_new)
    return lists


def _by_revenue(served: Served) -> Ask:
    return partial(served.recommended, revenue_weight=1.0)


async def _ask(ask: Ask, name: str, users: Sequence[int], out: Console, *, only_new: bool) -> Lists:
    mode = " (new products)" if only_new else ""
    with _meter(out, f"asking for {name}{mode}", len(users), "households") as meter:
        return await ask(users, meter, only_new=only_new)


def _meter(out: Console, title: str, total: int, unit: str) -> Meter:
    return Meter(out, title, total=total, unit=unit)


def _truth(split: Split, users: Sequence[int], *, only_new: bool) -> Mapping[int, Any]:
    truth = {}
    for user in users:
        items = split.truth[user]
        wanted = np.setdiff1d(items, split.seen[user]) if only_new and user in split.seen else items
        if len(wanted):
            truth[user] = wanted
    return truth


def _sample(users: Sequence[int], count: int) -> list[int]:
    if count >= len(users):
        return list(users)
    return sorted(np.random.default_rng(SEED).choice(np.array(users), count, replace=False).tolist())


def _show(out: Console, summary: dict[str, Any]) -> None:
    for name, mode in summary["modes"].items():
        out.print(titled(name, mode["households"]), style="bold", markup=False)
        for block in (main_table(mode), comparison_table(mode), slice_table(mode)):
            out.print(table("", block.columns, block.rows, right=block.columns[1:]))
            out.print()
    if "calibration" in summary:
        found = summary["calibration"]
        out.print(f"expected calibration error {found['ece']:.4f} over {found['rows']:,} predictions")
    out.print("the protocol stands in --report and --json", style="dim")
