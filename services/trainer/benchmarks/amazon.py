"""Amazon Reviews 2018, one category: sequences of reviewed products, and their texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson

from services.trainer.benchmarks.errors import BadData
from services.trainer.benchmarks.log import Log, from_sequences
from services.trainer.benchmarks.texts import TextEncoder
from services.trainer.domain import Ints
from services.trainer.learning.categories import number_categories
from services.trainer.learning.interactions import ItemContent

LONGEST_TEXT = 1000
"""Letters of a description that are read; the rest repeats or is markup."""


def load(folder: Path, encoder: TextEncoder | None) -> Log:
    """Reads `*.sequences.jsonl` ({"user_id", "items": numbers in time order}) and `*.item.json` (texts by number).

    Raises BadData when the folder does not hold exactly one of each, or a line lacks a field.
    """
    sequences = [
        _sequence(line, number)
        for number, line in enumerate(_only(folder, "*.sequences.jsonl").read_bytes().splitlines())
    ]
    items = orjson.loads(_only(folder, "*.item.json").read_bytes())
    count = 1 + max(max(map(int, items), default=-1), *(int(sequence.max()) for _, sequence in sequences))
    product_ids = tuple(str(number) for number in range(count))
    described = [items.get(product_id, {}) for product_id in product_ids]
    return Log(
        name="amazon",
        rows=from_sequences([sequence for _, sequence in sequences], product_ids),
        user_ids=tuple(user_id for user_id, _ in sequences),
        content=_content(product_ids, described, encoder),
        timed=False,
        statements={
            "data": f"Amazon Reviews 2018 ({folder.name}): {len(sequences)} users, {count} products",
            "texts": f"title, brand, description: {encoder.name}" if encoder else "none",
        },
    )


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise BadData(str(folder), f"must hold exactly one {pattern}, holds {len(found)}")
    return found[0]


def _sequence(line: bytes, number: int) -> tuple[str, Ints]:
    try:
        row = orjson.loads(line)
        return str(row["user_id"]), np.array(row["items"], dtype=np.int32)
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(
            f"sequences line {number + 1}", "must be JSON with user_id and items, a list of numbers"
        ) from error


def _content(product_ids: tuple[str, ...], described: list[dict[str, Any]], encoder: TextEncoder | None) -> ItemContent:
    names: dict[str, int] = {"": 0}
    brands = [names.setdefault(str(item.get("brand") or "").strip(), len(names)) for item in described]
    texts = [
        f"{item.get('title', '')}. {item.get('brand', '')}. {str(item.get('description', ''))[:LONGEST_TEXT]}"
        for item in described
    ]
    return ItemContent(
        categories=number_categories(product_ids, {}),
        brands=np.array(brands, dtype=np.int32),
        brand_names=tuple(names),
        prices=np.zeros(len(product_ids), dtype=np.float32),
        publish_times_s=np.zeros(len(product_ids), dtype=np.int64),
        text_vectors=encoder.encode(texts) if encoder else np.zeros((len(product_ids), 0), dtype=np.float32),
    )
