"""`python -m services.trainer.ranker`: what orders by expected revenue gain and lose on the demo.

Learns the ranker on the demo's year without the test weeks, as a job does, and orders the last window before them,
which the ranker had not seen: by the probability of a purchase, by expected revenue, and by probability × price.
Without a behaviour model, and so in some minutes on one core.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import typer

from services.trainer.benchmarks import demo
from services.trainer.domain import Metric
from services.trainer.learning.interactions import UNKNOWN_AMOUNT, Interactions
from services.trainer.ranker.fit import RankerConfig, fit_ranker
from services.trainer.ranker.revenue import earned


def main(as_json: Annotated[bool, typer.Option("--json", help="Prints figures as JSON.")] = False) -> None:
    """Learns, orders the last window before the demo's test weeks and tells what each order earns."""
    log, cut_s = demo.load(demo.data_folder(), None)
    assert log.content is not None
    result = fit_ranker(with_amounts(log.rows).before(cut_s), log.content, RankerConfig(), _tell)
    told, metrics = dict(result.description.metrics), earned(result.evidence)
    if as_json:
        typer.echo(json.dumps({"metrics": [asdict(metric) for metric in metrics], "ranker": told}, indent=1))
        return
    for metric in metrics:
        typer.echo(_line(metric))
    for name in sorted(told):
        typer.echo(f"{name:<34} {told[name]:.4f}")


def with_amounts(rows: Interactions) -> Interactions:
    """The demo's rows with what was paid for each; a product stands once in a basket."""
    columns = ["basket_id", "product_id", "quantity", "sales_value"]
    lines = pq.read_table(demo.data_folder() / "transactions.parquet", columns=columns).to_pandas()
    lines = lines[lines["quantity"] > 0].drop_duplicates(["basket_id", "product_id"])
    numbers = {product_id: number for number, product_id in enumerate(rows.product_ids)}
    products = lines["product_id"].astype(str).map(numbers).fillna(-1).to_numpy().astype(np.int64)
    width = len(numbers)
    keys = lines["basket_id"].to_numpy().astype(np.int64) * width + products
    order = np.flatnonzero(products >= 0)
    order = order[np.argsort(keys[order])]
    wanted = rows.events * width + rows.products
    places = order[np.minimum(np.searchsorted(keys[order], wanted), len(order) - 1)]
    micros = np.rint(lines["sales_value"].to_numpy()[places] * 1e6).astype(np.int64)
    return replace(rows, amount_micros=np.where(keys[places] == wanted, micros, UNKNOWN_AMOUNT))


def _line(metric: Metric) -> str:
    interval = f"{metric.value:9.4f} ({metric.low:.4f} to {metric.high:.4f})"
    return f"{metric.name:<34} {metric.slice:<18} {metric.model:<24} {interval}"


def _tell(step: str, done: int, total: int) -> None:
    typer.echo(f"{step} {done}/{total}", err=True)


if __name__ == "__main__":
    typer.run(main)
