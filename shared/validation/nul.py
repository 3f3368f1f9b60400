"""The character NUL in text: valid in Unicode and protobuf, but no database and no id of ours can hold it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from shared.errors.base import Violation

RULE = "string.nul"
_TEXT, _MESSAGE = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE


def nul_violations(message: Message, data: bytes) -> list[Violation]:
    """A violation for each text with NUL in ``message``, which was read from ``data``.

    Lists whose items are checked one by one elsewhere (`items: {ignore: IGNORE_ALWAYS}`) are passed over.
    """
    return list(_found(message, "")) if b"\0" in data else []


def _found(message: Message, prefix: str) -> Iterator[Violation]:
    for field in _fields(message.DESCRIPTOR):
        value = getattr(message, field.name)
        path = prefix + field.name
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from _in_value(field, item, f"{path}[{index}]")
        elif field.type != _MESSAGE or message.HasField(field.name):
            yield from _in_value(field, value, path)


def _in_value(field: FieldDescriptor, value: Message | str, path: str) -> Iterator[Violation]:
    if isinstance(value, Message):
        yield from _found(value, path + ".")
    elif "\0" in value:
        yield Violation(path, "must not contain NUL", RULE)


@cache
def _fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Fields that are texts or hold some."""
    return tuple(field for field in descriptor.fields if field.type in (_TEXT, _MESSAGE) and not passed_over(field))


def passed_over(field: FieldDescriptor) -> bool:
    """Whether a field's content is checked elsewhere."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return True  # no request has a map
    extension: Any = validate_pb2.field  # its generated type is not known to that of options
    rules: Any = field.GetOptions().Extensions[extension]
    return bool(rules.repeated.items.ignore == validate_pb2.IGNORE_ALWAYS)
