"""``google.type.Money`` and moments as integers."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from services.profile.domain.event import SECOND_US

MICROS = 1_000_000
MOST_UNITS = 1_000_000_000_000
"""More than any order costs, and far from where millionths overflow 64 bits."""


def micros_of(money: Money) -> int:
    """Millionths of a unit; finer digits are rounded."""
    micros: int = money.units * MICROS + round(money.nanos / 1_000)
    return micros


def money_of(micros: int, currency: str) -> Money:
    """Money from millionths, not negative."""
    units, rest = divmod(micros, MICROS)
    return Money(currency_code=currency, units=units, nanos=rest * 1_000)


def time_us_of(timestamp: Timestamp) -> int:
    """Microseconds since 1970; finer digits are cut."""
    return timestamp.seconds * SECOND_US + timestamp.nanos // 1_000


def timestamp_of(time_us: int) -> Timestamp:
    """A timestamp from microseconds since 1970."""
    seconds, micros = divmod(time_us, SECOND_US)
    return Timestamp(seconds=seconds, nanos=micros * 1_000)
