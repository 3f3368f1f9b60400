"""timestamptz as microseconds since 1970: no datetime objects, nothing lost."""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from services.profile.domain.event import SECOND_US

_INT64 = Struct("!q")
_EPOCH_2000_US = 946_684_800_000_000
"""PostgreSQL counts from 2000-01-01."""


class MicrosecondsLoader(Loader):
    """For cursors with binary results: ``cursor.adapters.register_loader("timestamptz", MicrosecondsLoader)``."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Any:
        return _INT64.unpack(data)[0] + _EPOCH_2000_US


def literal(time_us: int) -> str:
    """A moment as PostgreSQL reads it, exact to the microsecond. Constants let the planner leave partitions out."""
    seconds, micros = divmod(time_us, SECOND_US)
    return f"{np.datetime64(seconds, 's')}.{micros:06d}+00"
