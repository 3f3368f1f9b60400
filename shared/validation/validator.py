"""All violations of a message against its ``buf.validate`` constraints, with field paths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import protovalidate
from google.protobuf.message import Message

from shared.errors.base import InvalidArgument, Violation
from shared.validation.moments import moment_violations
from shared.validation.nul import nul_violations


def violations_of(message: Message, prefix: str = "") -> list[Violation]:
    """Every violation in ``message``; empty when it is valid.

    ``prefix`` is put before each path: ``violations_of(event, "events[3]")`` gives ``events[3].product_id``.
    """
    moments = moment_violations(message, f"{prefix}." if prefix else "")
    return [*(_violation(item.proto, prefix) for item in protovalidate.collect_violations(message)), *moments]


def violations_of_item(message: Message) -> list[Violation]:
    """As ``violations_of``, for an item of a list whose items are checked one by one: NUL in text is found too."""
    return [*violations_of(message), *nul_violations(message, message.SerializeToString())]


def validate(message: Message, prefix: str = "") -> None:
    """Raises InvalidArgument with every violation when ``message`` is not valid."""
    violations = violations_of(message, prefix)
    if violations:
        raise InvalidArgument(violations)


def _violation(proto: Any, prefix: str) -> Violation:
    """Ours from protovalidate's."""
    path = _path(proto.field.elements) if proto.field else ""
    field = f"{prefix}.{path}" if prefix and path else prefix or path
    return Violation(field, proto.message or proto.rule_id or "invalid", proto.rule_id or "")


def _path(elements: Iterable[Any]) -> str:
    """``events[3].attributes["size"].value`` from the elements of a field path."""
    return ".".join(element.field_name + _subscript(element.subscript) for element in elements)


def _subscript(subscript: Any) -> str:
    """``[3]`` for a list index, ``["key"]`` for a map key, nothing for a plain field."""
    if subscript is None:
        return ""
    value = subscript.value
    return f'["{value}"]' if isinstance(value, str) else f"[{value}]"
