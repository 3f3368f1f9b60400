"""The split: what was bought in the last four weeks is to be foretold from what was bought before.

Rows with quantity <= 0 and repeated products of a basket are dropped; then households with at least 5 train baskets
are kept, then products with at least 10 of their train rows. Times are moved so that the cut is now: the suite sees
the world as it was then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from services.cli.demo import shop as demo

TEST_DAYS, LEAST_BASKETS, LEAST_ROWS = 28, 5, 10
DAY_S = 86_400.0
COLUMNS = ["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]


@dataclass(frozen=True, slots=True)
class Split:
    """Train rows in columns, and the truth. Products are numbered in ascending order of id."""

    shop: demo.Shop
    """Products and train purchases, ready to be loaded."""
    items: tuple[str, ...]
    users: tuple[str, ...]
    user_rows: Any
    item_rows: Any
    ages_days: Any
    """Days before the cut, by row."""
    truth: Mapping[int, Any]
    """Products bought in the test weeks, by user; users without any are absent."""
    paid: Mapping[int, Any]
    """What was paid for each of the products of the truth in the test weeks, in its order, dollars, by user."""
    seen: Mapping[int, Any]
    """Products bought before, by user."""
    departments: Any
    """Name of the department, by item."""
    baskets: Any
    """Train baskets, by user."""


def make_split(now: datetime | None = None) -> Split:
    """Reads the demo's data and cuts it."""
    folder = demo.data_folder()
    lines = pq.read_table(folder / "transactions.parquet", columns=COLUMNS).to_pandas()
    products = pq.read_table(folder / "products.parquet").to_pandas()
    return cut(lines, products, now or datetime.now(UTC))


def cut(lines: Any, products: Any, now: datetime) -> Split:
    """Cuts purchase lines."""
    lines = lines[lines["quantity"] > 0].drop_duplicates(["basket_id", "product_id"])
    moment = lines["transaction_timestamp"].max() - timedelta(days=TEST_DAYS)
    train, test = lines[lines["transaction_timestamp"] < moment], lines[lines["transaction_timestamp"] >= moment]
    baskets = train.groupby("household_id")["basket_id"].nunique()
    households = np.sort(baskets.index[baskets >= LEAST_BASKETS].to_numpy())
    train = train[train["household_id"].isin(households)]
    counts = train["product_id"].value_counts()
    kept = np.array(sorted(counts.index[counts >= LEAST_ROWS], key=str))
    train = train[train["product_id"].isin(kept)]
    test = test[test["household_id"].isin(households) & test["product_id"].isin(kept)]
    ages = (moment - train["transaction_timestamp"]).dt.total_seconds().to_numpy() / DAY_S
    shift = pd.Timestamp(now).tz_localize(None) - moment.tz_localize(None)
    moved = train.assign(transaction_timestamp=train["transaction_timestamp"] + shift)
    loaded, _ = demo.compose(moved, products, 1.0, 0, now)
    item_number = {item: number for number, item in enumerate(kept.tolist())}
    user_rows = np.searchsorted(households, train["household_id"].to_numpy())
    item_rows = train["product_id"].map(item_number).to_numpy()
    test_users = np.searchsorted(households, test["household_id"].to_numpy())
    test_items = test["product_id"].map(item_number).to_numpy()
    return Split(
        shop=loaded,
        items=tuple(str(item) for item in kept),
        users=tuple(f"household-{household}" for household in households),
        user_rows=user_rows,
        item_rows=item_rows,
        ages_days=ages,
        truth=_by_user(test_users, test_items),
        paid=_by_user(test_users, test_items, test["sales_value"].to_numpy()),
        seen=_by_user(user_rows, item_rows),
        departments=products.set_index("product_id")["department"].reindex(kept).fillna("").to_numpy().astype(str),
        baskets=baskets.loc[households].to_numpy(),
    )


def _by_user(users: Any, items: Any, values: Any = None) -> dict[int, Any]:
    """Items of each user, ascending; or the sums of their values, in the same order."""
    pairs, places = np.unique(np.stack([users, items]), axis=1, return_inverse=True)
    found = pairs[1] if values is None else np.bincount(places.ravel(), values, pairs.shape[1])
    if not pairs.size:
        return {}
    starts = np.flatnonzero(np.concatenate([[True], pairs[0][1:] != pairs[0][:-1]])).tolist()
    ends = [*starts[1:], pairs.shape[1]]
    return {int(pairs[0][start]): found[start:end] for start, end in zip(starts, ends, strict=True)}
