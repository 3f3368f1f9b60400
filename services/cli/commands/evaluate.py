"""``mercato evaluate``: the quality of recommendations, through the code path that serves, beside simple baselines."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import grpc
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from services.cli.client import Gateway, connect
from services.cli.commands.train import train_release
from services.cli.commands.up import wait_indexed
from services.cli.demo import shop as demo
from services.cli.evaluation.baselines import OWN_HALF_LIFE_DAYS, most_popular, own_most_bought
from services.cli.evaluation.metrics import Measures, interval, measure
from services.cli.evaluation.serving import Lists, Served, release_in_use
from services.cli.evaluation.split import Split, make_split
from services.cli.importing.items import EVENTS, PRODUCTS, Kind, batched
from services.cli.importing.rejects import RejectsFile
from services.cli.importing.stream import ImportStream
from services.cli.output import Meter, console
from services.cli.settings import CliSettings, check_output, settings_of
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite

Results = dict[str, dict[str, Measures]]
BASELINE = {"all": "own most-bought, decayed", "new": "popularity"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    context: typer.Context,
    households: Annotated[int, typer.Option(min=10, help="Test households; fewer is faster.")] = 10_000,
    output: Annotated[Path | None, typer.Option(help="Writes the figures as JSON.")] = None,
) -> None:
    """Measure recommendations on the demo's last four weeks, in a suite that has seen only the weeks before."""
    out = console(stderr=settings_of(context).json)
    check_output(output)
    with tempfile.TemporaryDirectory(prefix="mercato-evaluate-") as folder:
        results = asyncio.run(_evaluate(Path(folder), households, out))
    report = _report(results)
    if output is not None:
        output.write_text(json.dumps(report, indent=1) + "\n")
    if settings_of(context).json:
        typer.echo(json.dumps(report, indent=1))
    else:
        _show(out, report)


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
        metrics=False,
        postgres_dsn=None,
        milvus_uri=None,
        triton_address=None,
        ports={},
    )
    with Meter(out, "starting a suite of its own"):
        suite = Suite(settings)
        await suite.__aenter__()
    try:
        await suite.wait_ready()
        options = CliSettings(address=suite.addresses["gateway"])
        async with connect(options) as gateway, grpc.aio.insecure_channel(suite.addresses["retrieval"]) as retrieval:
            await _load(gateway, split, folder, out)
            await release_in_use(gateway, split.users[users[0]])
            return await _measure_all(Served(gateway, retrieval, split), split, users, out)
    finally:
        await suite.__aexit__(None, None, None)


async def _load(gateway: Gateway, split: Split, folder: Path, out: Console) -> None:
    for kind, items, total in (
        (PRODUCTS, demo.iter_products(split.shop), len(split.shop.products)),
        (EVENTS, demo.iter_purchases(split.shop), split.shop.basket_count),
    ):
        await _send(gateway, kind, items, total, folder, out)
    await train_release(gateway, out)
    await wait_indexed(gateway, out)


async def _send(gateway: Gateway, kind: Kind, items: Iterator[Any], total: int, folder: Path, out: Console) -> None:
    with (
        RejectsFile(folder / "rejects.jsonl") as sink,
        _meter(out, f"importing {kind.name}", total, kind.name) as meter,
    ):
        numbered = ((item, ("demo", number)) for number, item in enumerate(items, 1))
        stream = ImportStream(gateway, kind, sink, lambda tally, note: meter.update(tally.answered, note=note))
        await stream.run(batched(kind, numbered))


async def _measure_all(served: Served, split: Split, users: Sequence[int], out: Console) -> Results:
    results: Results = {"all": {}, "new": {}}
    for mode in results:
        only_new = mode == "new"
        truth = _truth(split, users, only_new=only_new)
        lists = await _lists(served, split, list(truth), out, only_new=only_new)
        results[mode] = {name: measure(ranked, truth, split) for name, ranked in lists.items()}
    return results


async def _lists(
    served: Served, split: Split, users: Sequence[int], out: Console, *, only_new: bool
) -> dict[str, Lists]:
    lists: dict[str, Lists] = {"popularity": most_popular(split, users, only_new=only_new)}
    if not only_new:
        lists["own most-bought"] = own_most_bought(split, users, None)
        lists["own most-bought, decayed"] = own_most_bought(split, users, OWN_HALF_LIFE_DAYS)
    mode = " (new products)" if only_new else ""
    for name, ask in (("item-to-item", served.item_to_item), ("content", served.content), ("blend", served.blend)):
        with _meter(out, f"asking for {name}{mode}", len(users), "households") as meter:
            lists[name] = await ask(users, meter, only_new=only_new)
    return lists


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
    return sorted(np.random.default_rng(84).choice(np.array(users), count, replace=False).tolist())


def _report(results: Results) -> dict[str, Any]:
    modes: dict[str, Any] = {}
    for mode, by_name in results.items():
        baseline = by_name[BASELINE[mode]]
        modes[mode] = {name: _row(measures, baseline) for name, measures in by_name.items()}
    machine = {"platform": platform.platform(), "python": platform.python_version()}
    return {"data": "Complete Journey, last 28 days held out, full ranking", "seed": 84, **machine, "results": modes}


def _row(measures: Measures, baseline: Measures) -> dict[str, Any]:
    mean, low, high = interval(measures.ndcg)
    difference = interval(measures.ndcg - baseline.ndcg)
    return {
        "households": len(measures.ndcg),
        "ndcg@10": round(mean, 4),
        "ndcg@10_95": [round(low, 4), round(high, 4)],
        "recall@20": round(float(measures.recall.mean()), 4),
        "map@10": round(float(measures.average_precision.mean()), 4),
        "coverage@10": round(measures.coverage, 4),
        "novelty_bits": round(float(measures.novelty.mean()), 2),
        "difference": round(difference[0], 4),
        "difference_95": [round(difference[1], 4), round(difference[2], 4)],
    }


def _show(out: Console, report: dict[str, Any]) -> None:
    for mode, rows in report["results"].items():
        what = "all products" if mode == "all" else "only products new to the household"
        count = next(iter(rows.values()))["households"]
        table = Table(title=f"{what}; {count} households", title_justify="left", box=None)
        heads = ("", "nDCG@10", "95 %", "recall@20", "MAP@10", "coverage", "novelty", f"against {BASELINE[mode]}")
        for head in heads:
            table.add_column(head)
        for name, row in rows.items():
            low, high = row["ndcg@10_95"]
            d, (dl, dh) = row["difference"], row["difference_95"]
            cells = [
                f"{row['ndcg@10']:.4f}",
                f"{low:.4f} to {high:.4f}",
                f"{row['recall@20']:.4f}",
                f"{row['map@10']:.4f}",
            ]
            cells += [f"{row['coverage@10']:.4f}", f"{row['novelty_bits']:.2f}", f"{d:+.4f} [{dl:+.4f}, {dh:+.4f}]"]
            table.add_row(name, *cells)
        out.print(table)
