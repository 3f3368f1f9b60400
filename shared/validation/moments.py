"""Timestamps and durations within the range that protobuf gives them (timestamp.proto, duration.proto).

Any 64-bit number can be sent, but languages and databases count from year 1 to year 9999.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from shared.errors.base import Violation
from shared.validation.nul import passed_over

TIMESTAMP, DURATION = "google.protobuf.Timestamp", "google.protobuf.Duration"
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
_LONGEST_S = 315_576_000_000
_NANOS = 1_000_000_000


def moment_violations(message: Message, prefix: str = "") -> list[Violation]:
    """A violation for each timestamp and duration out of range; lists that are checked elsewhere are passed over."""
    return list(_found(message, prefix))


def _found(message: Message, prefix: str) -> Iterator[Violation]:
    for field in _fields(message.DESCRIPTOR):
        path = prefix + field.name
        if field.is_repeated:
            for index, item in enumerate(getattr(message, field.name)):
                yield from _in_value(item, f"{path}[{index}]")
        elif message.HasField(field.name):
            yield from _in_value(getattr(message, field.name), path)


def _in_value(value: Any, path: str) -> Iterator[Violation]:
    name = value.DESCRIPTOR.full_name
    if name == TIMESTAMP:
        if not _FIRST_S <= value.seconds <= _LAST_S:
            yield Violation(path, "must lie in the years 1 to 9999", "timestamp.valid")
        if not 0 <= value.nanos < _NANOS:
            yield Violation(f"{path}.nanos", "must be from 0 to 999,999,999", "timestamp.nanos")
    elif name == DURATION:
        same_sign = value.seconds == 0 or value.nanos == 0 or (value.seconds > 0) == (value.nanos > 0)
        if not (abs(value.seconds) <= _LONGEST_S and abs(value.nanos) < _NANOS and same_sign):
            yield Violation(path, "must be within 10,000 years, with nanos of the same sign", "duration.valid")
    else:
        yield from _found(value, path + ".")


@cache
def _fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Fields that are moments or hold some."""
    return tuple(
        field
        for field in descriptor.fields
        if field.message_type is not None and not passed_over(field) and _holds(field.message_type, frozenset())
    )


def _holds(descriptor: Descriptor, above: frozenset[str]) -> bool:
    if descriptor.full_name in (TIMESTAMP, DURATION):
        return True
    if descriptor.full_name in above:
        return False
    below = above | {descriptor.full_name}
    return any(
        field.message_type is not None and not passed_over(field) and _holds(field.message_type, below)
        for field in descriptor.fields
    )
