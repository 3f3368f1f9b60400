"""Random messages of any type, built from its descriptor and biased to the values at which code breaks."""

from __future__ import annotations

import importlib
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

DEEPEST, MOST_ITEMS = 4, 5
_F = FieldDescriptor
IDS = ("own", "alpha-1", "ann", "tea", "returns", "missing", "")
"""Things that exist, so that requests get beyond the first look-up."""
TEXTS = (
    "", " ", "\0", "a\0b", "\n", "\x1b[31m", "\u202e", "\ud7ff", "\U0010ffff", "é", "e\u0301", "' OR 1=1 --", '"] or ["', "%", "\\", "../..",
    "x" * 128, "x" * 129, "x" * 5_000, "0", "-1", "NaN", "null", "USD", "usd", "2026-01-01T00:00:00Z", "{}", "[]", "$", "*",
)  # fmt: skip
_INTEGERS = {
    _F.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    _F.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    _F.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    _F.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
_FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 1e-300, 1e308, -1e308, float("inf"), float("-inf"), float("nan"))
Strategy = st.SearchStrategy[Any]
_known: dict[tuple[str, int], Strategy] = {}


def messages(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Message]:
    """Messages of a type; each field is left out half of the time."""
    key = (descriptor.full_name, depth)
    if key not in _known:
        make = message_factory.GetMessageClass(descriptor)
        fields = {field.name: _values(field, depth) for field in descriptor.fields if _fits(field, depth)}
        _known[key] = st.fixed_dictionaries({}, optional=fields).map(lambda values: _built(make, values))
    return _known[key]


def _fits(field: FieldDescriptor, depth: int) -> bool:
    return field.message_type is None or depth < DEEPEST


def _values(field: FieldDescriptor, depth: int) -> Strategy:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        return st.dictionaries(_scalars(entry["key"]), _single(entry["value"], depth), max_size=MOST_ITEMS)
    one = _single(field, depth)
    return st.lists(one, max_size=MOST_ITEMS) if field.is_repeated else one


def _single(field: FieldDescriptor, depth: int) -> Strategy:
    return messages(field.message_type, depth + 1) if field.message_type is not None else _scalars(field)


def _scalars(field: FieldDescriptor) -> Strategy:
    kind = field.cpp_type
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        edges = [value for value in (low, -1, 0, 1, 2, 10, 100, 1_001, 10_001, high - 1, high) if low <= value <= high]
        return st.one_of(st.sampled_from(edges), st.integers(low, high))
    if kind == _F.CPPTYPE_ENUM:
        numbers = [value.number for value in field.enum_type.values]
        return st.one_of(st.sampled_from(numbers), st.sampled_from([-1, 99, (1 << 31) - 1]))
    if kind == _F.CPPTYPE_BOOL:
        return st.booleans()
    if kind in (_F.CPPTYPE_DOUBLE, _F.CPPTYPE_FLOAT):
        return st.one_of(st.sampled_from(_FLOATS), st.floats(0, 10, width=32))
    if field.type == _F.TYPE_BYTES:
        return st.binary(max_size=40)
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    return st.one_of(st.sampled_from(IDS), st.sampled_from(TEXTS), text)


def _built(make: type[Message], values: dict[str, Any]) -> Message:
    """The message; of a oneof the last field counts."""
    message = make()
    for name, value in values.items():
        if isinstance(value, dict):
            for key, item in value.items():
                target = getattr(message, name)
                if isinstance(item, Message):
                    target[key].CopyFrom(item)
                else:
                    target[key] = item
        elif isinstance(value, list):
            getattr(message, name).extend(value)
        elif isinstance(value, Message):
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    return message


def services(package: str, files: list[str]) -> list[Any]:
    """Descriptors of all services of the files of a package."""
    modules = [importlib.import_module(f"{package}.{name}_pb2") for name in files]
    return [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
