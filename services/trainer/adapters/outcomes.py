"""What answers led to, counted from events that carry their attribution tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.trainer.datasets.events import EventChunk
from services.trainer.domain import Arm
from services.trainer.learning.interactions import EventKind
from services.trainer.ports import EventSource
from shared.context.request import use_tenant

KINDS = (EventKind.IMPRESSION, EventKind.PRODUCT_VIEW, EventKind.CLICK, EventKind.ADD_TO_CART, EventKind.PURCHASE)
CLICKS = (EventKind.PRODUCT_VIEW, EventKind.CLICK)


class EventOutcomes:
    """Counts people, not events: what one person does is one observation, however much they do."""

    def __init__(self, events: EventSource) -> None:
        self._events = events

    async def count(self, tenant: str, release_ids: Sequence[str], since_s: int) -> list[Arm]:
        shown: dict[str, set[bytes]] = {release_id: set() for release_id in release_ids}
        clicked: dict[str, set[bytes]] = {release_id: set() for release_id in release_ids}
        bought: dict[str, set[bytes]] = {release_id: set() for release_id in release_ids}
        with use_tenant(tenant):
            async for chunk in self._events.read(KINDS, since_s):
                for release_id in release_ids:
                    rows = _rows(chunk, release_id, since_s)
                    shown[release_id] |= _people(chunk, rows)
                    clicked[release_id] |= _people(chunk, rows & np.isin(chunk.kinds, CLICKS))
                    bought[release_id] |= _people(chunk, rows & (chunk.kinds == EventKind.PURCHASE))
        return [
            Arm(release_id, len(shown[release_id]), len(clicked[release_id]), len(bought[release_id]))
            for release_id in release_ids
        ]


def _rows(chunk: EventChunk, release_id: str, since_s: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows that answer a list which the release made since the moment."""
    asked = [one.release_id == release_id and one.time_s >= since_s for one in chunk.requests]
    of_release = np.array([*asked, False])  # row -1: no token
    rows: np.ndarray[tuple[int], np.dtype[np.bool_]] = of_release[chunk.request_indexes]
    return rows


def _people(chunk: EventChunk, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> set[bytes]:
    return {chunk.user_keys[user] for user in np.unique(chunk.users[rows]).tolist()}
