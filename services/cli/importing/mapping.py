"""From a row's columns to the contract's JSON, by ``--map FIELD=SOURCE`` and ``--map FIELD:=VALUE``.

FIELD is a path of the contract (``title``, ``purchase.revenue``, ``products.product_id``, ``attributes.color``); a
repeated message in a path gets one element. SOURCE is a column with transforms after ``|``. For ``attributes`` it may
be a pattern of many columns, ``attr_?_*``: the attribute's name is what the last ``*`` matched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from services.cli.importing.rejects import Violation
from services.cli.importing.transforms import Transform, TransformError, parse_transform, time_json


class MappingError(ValueError):
    """A ``--map`` that cannot be used; the message says why."""


class ValueMismatch(ValueError):
    """A row whose value does not fit its field."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.description)
        self.violation = violation


@dataclass(frozen=True)
class Rule:
    """One ``--map``: where a value goes, where it comes from."""

    path: tuple[str, ...]
    leaf: FieldDescriptor
    column: str
    constant: str | None
    pattern: re.Pattern[str] | None
    transforms: tuple[Transform, ...]
    in_list: bool = False
    """Whether the first step of the path is a list of messages: a row then holds one element of it."""


class RowMapping:
    """All rules of an import, applied to row after row."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._lists = {rule.path[0] for rule in rules if rule.in_list}
        self._names: dict[tuple[int, str], str | None] = {}

    def apply(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The contract's JSON. Raises ValueMismatch."""
        made: dict[str, Any] = {}
        for number, rule in enumerate(self._rules):
            if rule.pattern is not None:
                self._many(made, number, rule, row)
                continue
            value = rule.constant if rule.constant is not None else row.get(rule.column)
            if value is not None and value != "":
                _place(made, rule, _converted(rule, value))
        for name in self._lists:
            if isinstance(made.get(name), dict):
                made[name] = [made[name]]
        return made

    def _many(self, made: dict[str, Any], number: int, rule: Rule, row: Mapping[str, Any]) -> None:
        assert rule.pattern is not None
        for column, value in row.items():
            key = (number, column)
            if key not in self._names:
                found = rule.pattern.fullmatch(column)
                self._names[key] = (found.groups() or (column,))[-1] if found else None
            name = self._names[key]
            if name and value is not None and value not in ("", []):
                _attribute(made, rule, name, _transformed(rule, value))


def parse_mapping(texts: Iterable[str], item: Any) -> RowMapping:
    """The rules of all ``--map`` options. Raises MappingError."""
    rules = [_parse(text, item) for text in texts]
    for rule in rules:
        for other in rules:
            inside = len(other.path) > len(rule.path) and other.path[: len(rule.path)] == rule.path
            if inside and not (_is_attributes(rule.leaf) and not rule.transforms):
                whole, part = ".".join(rule.path), ".".join(other.path)
                raise MappingError(f"--map: {whole} is given as a whole and {part} as a part of it; give one of them")
    return RowMapping(rules)


def by_name(columns: Iterable[str], item: Any) -> RowMapping:
    """For tables without ``--map``: every column is the field of its name. Raises MappingError."""
    return RowMapping([_parse(f"{column}={column}", item) for column in columns])


def _parse(text: str, item: Descriptor) -> Rule:
    field, sign, source = text.partition("=")
    if not sign or not field.strip(": ") or not source:
        raise MappingError(f"--map {text!r}: expected FIELD=COLUMN or FIELD:=VALUE")
    constant = source if field.endswith(":") else None
    path = tuple(field.removesuffix(":").strip().split("."))
    leaf = _leaf(text, path, item)
    in_list = len(path) > 1 and item.fields_by_name[path[0]].is_repeated
    if constant is not None:
        return Rule(path, leaf, "", constant, None, (), in_list)
    column, *rest = source.split("|")
    try:
        transforms = tuple(parse_transform(part) for part in rest)
    except ValueError as error:
        raise MappingError(f"--map {text!r}: {error}") from None
    many = _is_attributes(leaf) and len(path) == 1
    pattern = _pattern(column) if many and any(sign in column for sign in "*?") else None
    return Rule(path, leaf, column, None, pattern, transforms, in_list)


def _leaf(text: str, path: tuple[str, ...], item: Descriptor) -> FieldDescriptor:
    """The field that a path ends in; for ``attributes.NAME`` the list of attributes."""
    message: Descriptor | None = item
    field: FieldDescriptor | None = None
    for name in path:
        if field is not None and _is_attributes(field):
            return field
        field = message.fields_by_name.get(name) if message is not None else None
        if field is None:
            known = ", ".join(message.fields_by_name) if message is not None else "no fields"
            raise MappingError(f"--map {text!r}: {name!r} is no field; there are {known}")
        message = field.message_type
    assert field is not None
    return field


def _is_attributes(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.name in ("ProductAttribute", "EventAttribute")


def _pattern(glob: str) -> re.Pattern[str]:
    parts = {"*": "(.*)", "?": "."}
    return re.compile("".join(parts.get(letter, re.escape(letter)) for letter in glob), re.DOTALL)


def _place(made: dict[str, Any], rule: Rule, value: Any) -> None:
    """Sets a value at its path."""
    if _is_attributes(rule.leaf) and not isinstance(value, list | dict):
        _attribute(made, rule, ".".join(rule.path[1:]) or rule.column, value)
        return
    target = made
    for name in rule.path[:-1]:
        inner = target.setdefault(name, {})
        target = inner
    target[rule.path[-1]] = value


def _attribute(made: dict[str, Any], rule: Rule, name: str, value: Any) -> None:
    """Adds one attribute: numbers as numbers, everything else as text."""
    target = made.setdefault(rule.path[0], [])
    values = value if isinstance(value, list) else [value]
    if rule.leaf.message_type is not None and rule.leaf.message_type.name == "EventAttribute":
        target.append({"name": name, "value": ", ".join(_text(item) for item in values)})
        return
    numbers = [item for item in values if isinstance(item, int | float) and not isinstance(item, bool)]
    kind = "numbers" if len(numbers) == len(values) else "texts"
    found = numbers if kind == "numbers" else [_text(item) for item in values if item not in (None, "")]
    # Two columns may carry one attribute, such as attr_t_size and attr_n_size.
    attribute = next((item for item in target if item["name"] == name), None)
    if attribute is None:
        attribute = {"name": name}
        target.append(attribute)
    attribute.setdefault(kind, []).extend(found)


def _converted(rule: Rule, value: Any) -> Any:
    """A value in the form that its field takes in JSON."""
    value = _transformed(rule, value)
    if _is_attributes(rule.leaf):
        return value
    try:
        if rule.leaf.is_repeated and rule.leaf.message_type is None:
            return [_coerce(rule.leaf, item) for item in (value if isinstance(value, list) else [value])]
        return _coerce(rule.leaf, value)
    except TransformError as error:
        raise _mismatch(rule, str(error)) from None


def _transformed(rule: Rule, value: Any) -> Any:
    try:
        for transform in rule.transforms:
            value = transform(value)
    except TransformError as error:
        raise _mismatch(rule, str(error)) from None
    return value


def _coerce(leaf: FieldDescriptor, value: Any) -> Any:
    """Bends what tables hold (numbers as ids, short enum names, naive times) to the contract."""
    if leaf.message_type is not None and leaf.message_type.full_name == "google.protobuf.Timestamp":
        return time_json(value)
    if leaf.type == FieldDescriptor.TYPE_STRING and not isinstance(value, list | dict):
        return _text(value)
    if leaf.enum_type is not None and isinstance(value, str):
        return _enum(leaf, value)
    if leaf.type == FieldDescriptor.TYPE_BOOL and isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower(), value)
    return value.strip() if isinstance(value, str) else value


def _enum(leaf: FieldDescriptor, value: str) -> str:
    """``purchase`` and ``add to cart`` for ``USER_EVENT_TYPE_PURCHASE`` and ``…_ADD_TO_CART``."""
    name = re.sub(r"[^A-Z0-9]+", "_", value.strip().upper())
    names = leaf.enum_type.values_by_name if leaf.enum_type is not None else {}
    return next((full for full in names if full == name or full == f"{_prefix(leaf)}_{name}"), value)


def _prefix(leaf: FieldDescriptor) -> str:
    assert leaf.enum_type is not None
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", leaf.enum_type.name).upper()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _mismatch(rule: Rule, description: str) -> ValueMismatch:
    return ValueMismatch(Violation(".".join(rule.path), description, "field.type"))
