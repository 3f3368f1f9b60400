"""Data sets as folders: written whole or not at all, verified by hash when read.

`users.parquet`, `products.parquet`, `interactions.parquet`, `impressions.parquet` and `text_vectors.npy` (the last two
where there are any), `names.json` (what numbers stand for) and `data_card.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import tokenize
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from services.trainer.datasets.card import FORMAT, DataCard, Provenance
from services.trainer.datasets.columns import (
    CONTENT_TYPES,
    IMPRESSION_TYPES,
    INTERACTION_TYPES,
    Columns,
    content_of,
    digest,
    impression_columns,
    interaction_columns,
    product_columns,
)
from services.trainer.datasets.errors import DataSetDamaged
from services.trainer.datasets.events import Report
from services.trainer.datasets.impressions import Impressions
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent

CARD, NAMES, VECTORS = "data_card.json", "names.json", "text_vectors.npy"
_TABLES: Mapping[str, Mapping[str, npt.DTypeLike]] = {
    "users": {},
    "products": CONTENT_TYPES,
    "interactions": INTERACTION_TYPES,
    "impressions": IMPRESSION_TYPES,
}
"""Tables in the order in which they are written, with the types of their columns of numbers."""
_NEEDED = {"users", "products", "interactions", "names"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Everything that a training job learns from. Users and products have the same numbers in all parts."""

    user_keys: tuple[bytes, ...]
    """Pseudonyms `[U]`."""
    interactions: Interactions
    impressions: Impressions | None = None
    content: ItemContent | None = None


def write_data_set(folder: Path, data: DataSet, about: Provenance, report: Report) -> DataCard:
    """Writes a data set into a new folder and returns its card.

    A draft beside the folder is renamed when it is whole, so that who finds the folder finds all of it.
    Raises FileExistsError when there is a folder already, and ValueError when parts don't fit together.
    """
    _check_fit(data)
    if folder.exists():
        raise FileExistsError(f"data set folder {folder} exists already; a data set is never overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        card = _write_parts(draft, data, about, report)
        (draft / CARD).write_text(card.to_json(), encoding="utf-8")
        for path in draft.iterdir():
            _sync(path)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return card


def read_card(folder: Path) -> DataCard:
    """The card alone. Raises DataSetDamaged when it is missing or not as it was written."""
    try:
        return DataCard.from_json((folder / CARD).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataSetDamaged(folder / CARD, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataSetDamaged(folder / CARD, str(error)) from error


def read_data_set(folder: Path, report: Report) -> tuple[DataSet, DataCard]:
    """Reads a data set and verifies every part against the card. Raises DataSetDamaged naming file and finding."""
    card = read_card(folder)
    if missing := sorted(_NEEDED - card.digests.keys()):
        raise DataSetDamaged(folder / CARD, f"has no digest of {', '.join(missing)}")
    found = {}
    for done, part in enumerate(name for name in _TABLES if name in card.digests):
        report("reading the data set", done, len(card.digests))
        found[part] = _verified(folder / f"{part}.parquet", part, _read_table(folder / f"{part}.parquet", part), card)
    names_text = _read_names(folder / NAMES)
    _verified(folder / NAMES, "names", {"names": (names_text,)}, card)
    names = json.loads(names_text)
    vectors = np.zeros((card.product_count, 0), dtype=np.float32)
    if "text_vectors" in card.digests:
        vectors = _read_vectors(folder / VECTORS)
        _verified(folder / VECTORS, "text_vectors", {"text_vectors": vectors}, card)
    report("reading the data set", len(card.digests), len(card.digests))
    products, users = found["products"].pop("product_ids"), found["users"]["user_keys"]
    data = DataSet(
        user_keys=users,
        interactions=Interactions(product_ids=products, user_count=len(users), **found["interactions"]),
        impressions=Impressions(**found["impressions"], **_shown_names(names)) if "impressions" in found else None,
        content=content_of(found["products"], names, vectors) if found["products"] else None,
    )
    if _card(data, card.provenance, card.digests) != card:
        raise DataSetDamaged(folder / CARD, "does not describe the data beside it")
    return data, card


def _check_fit(data: DataSet) -> None:
    rows = data.interactions
    if len(data.user_keys) != rows.user_count:
        raise ValueError(f"user_keys has {len(data.user_keys)} keys; interactions count {rows.user_count} users")
    if data.content is not None and len(data.content.prices) != len(rows.product_ids):
        raise ValueError(f"content has {len(data.content.prices)} rows for {len(rows.product_ids)} products")


def _write_parts(draft: Path, data: DataSet, about: Provenance, report: Report) -> DataCard:
    rows, content, impressions = data.interactions, data.content, data.impressions
    tables: dict[str, Columns] = {
        "users": {"user_keys": data.user_keys},
        "products": product_columns(rows.product_ids, content),
        "interactions": interaction_columns(rows),
    }
    if impressions is not None:
        tables["impressions"] = impression_columns(impressions)
    digests = {}
    for done, (name, columns) in enumerate(tables.items()):
        report("writing the data set", done, len(tables))
        pq.write_table(pa.table(_arrays(columns)), draft / f"{name}.parquet", compression="zstd")
        digests[name] = digest(columns)
    names = json.dumps(_names(data), ensure_ascii=False, sort_keys=True)
    (draft / NAMES).write_text(names, encoding="utf-8")
    digests["names"] = digest({"names": (names,)})
    if content is not None and content.text_vectors.size:
        np.save(draft / VECTORS, content.text_vectors, allow_pickle=False)
        digests["text_vectors"] = digest({"text_vectors": content.text_vectors})
    report("writing the data set", len(tables), len(tables))
    return _card(data, about, digests)


def _card(data: DataSet, about: Provenance, digests: Mapping[str, str]) -> DataCard:
    rows, impressions, content = data.interactions, data.impressions, data.content
    kinds = Counter(rows.kinds.tolist())
    return DataCard(
        format=FORMAT,
        provenance=about,
        rows_by_kind={EventKind(kind).name: kinds[kind] for kind in sorted(kinds)},
        user_count=rows.user_count,
        product_count=len(rows.product_ids),
        impression_count=len(impressions) if impressions is not None else 0,
        request_count=len(np.unique(impressions.requests)) if impressions is not None else 0,
        start_time_s=int(rows.times_s.min()) if len(rows) else 0,
        end_time_s=rows.end_time_s,
        text_dimension=content.text_vectors.shape[1] if content is not None else 0,
        digests=digests,
    )


def _arrays(columns: Columns) -> dict[str, pa.Array]:
    texts = {"user_keys": pa.binary(), "product_ids": pa.string()}
    return {name: pa.array(column, type=texts.get(name)) for name, column in columns.items()}


def _names(data: DataSet) -> dict[str, Any]:
    """What numbers stand for."""
    names: dict[str, Any] = {}
    if (content := data.content) is not None:
        names["categories"] = content.categories.leaves
        names["category_parents"] = content.categories.parents.tolist()
        names["brands"] = content.brand_names
    if (shown := data.impressions) is not None:
        names["release_ids"], names["list_kind_names"] = shown.release_ids, shown.list_kind_names
        names["window_s"], names["end_time_s"] = shown.window_s, shown.end_time_s
    return names


def _shown_names(names: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "release_ids": tuple(names["release_ids"]),
        "list_kind_names": tuple(names["list_kind_names"]),
        "window_s": names["window_s"],
        "end_time_s": names["end_time_s"],
    }


def _read_table(path: Path, part: str) -> dict[str, Any]:
    types = _TABLES[part]
    try:
        table = pq.read_table(path)
        return {
            name: table[name].to_numpy().astype(types[name], copy=False)
            if name in types
            else tuple(table[name].to_pylist())
            for name in table.column_names
        }
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise DataSetDamaged(path, f"cannot be read ({error})") from error


def _read_names(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataSetDamaged(path, f"cannot be read ({error})") from error


def _read_vectors(path: Path) -> npt.NDArray[np.float32]:
    try:
        vectors: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:  # the header is a Python literal
        raise DataSetDamaged(path, f"cannot be read ({error})") from error
    return vectors


def _verified(path: Path, part: str, columns: dict[str, Any], card: DataCard) -> dict[str, Any]:
    try:
        found = digest(columns)
    except (AttributeError, ValueError) as error:
        raise DataSetDamaged(path, f"holds values of another type ({error})") from error
    if found != card.digests.get(part):
        raise DataSetDamaged(path, f"has the sha256 {found}, but its card says {card.digests.get(part)}")
    return columns


def _sync(path: Path) -> None:
    """Puts a file on the disk before the folder gets its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
