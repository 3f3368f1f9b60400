"""What a job does, step by step."""

from __future__ import annotations

from pathlib import Path

from services.trainer.converters import tables_to_chunks
from services.trainer.datasets.events import Report
from services.trainer.datasets.store import read_data_set
from services.trainer.domain import Tables, TrainingKind
from services.trainer.job.files import DATA, OUTPUT, Order, Result, write_parts
from services.trainer.job.tables import compute_tables
from services.trainer.learning.neighbours import NeighbourConfig


def run_job(folder: Path, report: Report) -> None:
    """Learns and writes `output/` and `result.json`. Raises DataSetDamaged, DataLeak and others of `MercatoError`."""
    order = Order.read(folder)
    data, card = read_data_set(folder / DATA, report)
    assert data.content is not None
    purchases = data.interactions.purchases()
    config = NeighbourConfig(neighbours=order.neighbours, least_purchases=order.least_purchases)
    tables = compute_tables(purchases, data.content.categories, config, report)
    for name, parts in tables_to_chunks(tables).items():
        write_parts(folder / OUTPUT, name, parts)
    result = _result(tables, len(purchases.users))
    if order.kind is not TrainingKind.TABLES:
        # Imported here: torch and the others take seconds, and an installation without them still makes tables.
        from services.trainer.job.models import Job, learn_models

        result = learn_models(Job(folder, order, data, card, report), result)
    result.write(folder)


def _result(tables: Tables, purchase_count: int) -> Result:
    return Result(
        data_end_time_s=tables.data_end_time_s,
        purchase_count=purchase_count,
        user_count=tables.user_count,
        product_count=len(tables.product_ids),
        pair_count=len(tables.neighbours.neighbours),
    )
