"""What a job learns from is gathered with what was paid."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from services.trainer.datasets.content import CatalogRow
from services.trainer.datasets.events import EventChunk
from services.trainer.datasets.store import read_data_set
from services.trainer.domain import Floats
from services.trainer.errors import NothingToLearn
from services.trainer.gather import Gather, Sources
from services.trainer.learning.interactions import EventKind
from tests.fakes.trainer.event_rows import NOW_S, Row, chunk

BUY, VIEW = EventKind.PURCHASE, EventKind.PRODUCT_VIEW


class Shop:
    """Events, catalogue and index of a shop in one."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    async def read(self, kinds: Iterable[EventKind] = EventKind, since_s: int = 0) -> AsyncIterator[EventChunk]:
        yield chunk(self._rows)

    async def rows(self, product_ids: Sequence[str]) -> dict[str, CatalogRow]:
        return {"c": CatalogRow(price=2.5)}


class NoVectors:
    """An index without vectors."""

    async def read(self) -> AsyncIterator[tuple[Sequence[str], Floats]]:
        for nothing in ():
            yield nothing


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


async def test_amounts_of_events_and_of_the_catalogue_are_kept_with_pseudonyms(tmp_path: Path) -> None:
    shop = Shop(
        [
            Row("u", "a", BUY, NOW_S, 0, quantity=2, price=1_500_000),
            Row("u", "c", BUY, NOW_S, 0),
            Row("u", "b", BUY, NOW_S, 0),
            Row("v", "a", VIEW, NOW_S + 1, 1, price=9),
        ]
    )
    gather = Gather(Sources(shop, shop, NoVectors()), 30)
    card = await gather("shop", tmp_path / "data", quiet, with_vectors=False)
    assert any(text.startswith("amounts: units") for text in card.provenance.filters)
    data, _ = read_data_set(tmp_path / "data", quiet)
    rows = data.interactions
    assert rows.amount_micros is not None
    assert rows.amount_micros.dtype == np.int64
    names = [rows.product_ids[product] for product in rows.products]
    assert dict(zip(names[:3], rows.amount_micros[:3].tolist(), strict=True)) == {
        "a": 3_000_000,
        "b": -1,
        "c": 2_500_000,
    }
    assert rows.amount_micros[3] == -1


async def test_without_purchases_there_is_nothing_to_learn(tmp_path: Path) -> None:
    shop = Shop([Row("u", "a", VIEW, NOW_S, 0)])
    with pytest.raises(NothingToLearn):
        await Gather(Sources(shop, shop, NoVectors()), 30)("shop", tmp_path / "data", quiet, with_vectors=False)
