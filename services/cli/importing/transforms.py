"""What may stand after ``|`` in a mapping: functions from one value to one value of the contract's JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

Transform = Callable[[Any], Any]


class TransformError(ValueError):
    """A value that does not fit; the message says why."""


def parse_transform(text: str) -> Transform:
    """``cents:USD``, ``money:USD``, ``split:>``, ``seconds``, ``millis``, ``number``, ``cut:1000``, ``json``.

    Raises ValueError for anything else.
    """
    name, _, argument = text.partition(":")
    if name in ("cents", "money"):
        currency = argument.strip().upper()
        if not re.fullmatch("[A-Z]{3}", currency):
            raise ValueError(f"{name} needs a currency, such as {name}:USD")
        scale = Decimal(100 if name == "cents" else 1)
        return lambda value: money_json(decimal(value) / scale, currency)
    if name == "split" and argument:
        return lambda value: [part.strip() for part in str(value).split(argument) if part.strip()]
    if name == "cut" and argument.isdigit():
        return lambda value: _cut(value, int(argument))
    if not argument and name in _SIMPLE:
        return _SIMPLE[name]
    raise ValueError(
        f"unknown transform {text!r}; known: cents:CUR, money:CUR, split:SEPARATOR, cut:N, {', '.join(sorted(_SIMPLE))}"
    )


MOST_UNITS = 2**63
"""Units of an amount are 64-bit integers."""


def decimal(value: Any) -> Decimal:
    """A finite number from a number or its text."""
    try:
        made = Decimal(str(value).strip())
    except InvalidOperation:
        raise TransformError(f"{_shown(value)} is not a number") from None
    if isinstance(value, bool) or not made.is_finite():
        raise TransformError(f"{_shown(value)} is not a finite number")
    return made


def money_json(amount: Decimal, currency: str) -> dict[str, Any]:
    """``google.type.Money`` in JSON form. Raises TransformError for more than it can hold."""
    if abs(amount) >= MOST_UNITS:
        raise TransformError(f"{_shown(str(amount))} is more than an amount of money can be")
    nanos = int((amount * 1_000_000_000).to_integral_value())
    sign = -1 if nanos < 0 else 1
    units, rest = divmod(abs(nanos), 1_000_000_000)
    return {"currency_code": currency, "units": str(sign * units), "nanos": sign * rest}


def time_json(value: Any) -> str:
    """A time in the contract's form; one without a zone counts as UTC."""
    try:
        made = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        zoned = made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)
    except (ValueError, OverflowError):  # a time of year 1 or 9999 may leave the calendar with its zone
        raise TransformError(f"{_shown(value)} is not a time such as 2026-01-31T12:00:00Z") from None
    return zoned.isoformat().replace("+00:00", "Z")


def _epoch(divisor: int) -> Transform:
    def convert(value: Any) -> str:
        try:
            return time_json(datetime.fromtimestamp(float(decimal(value) / divisor), UTC))
        except (OverflowError, OSError, ValueError) as error:
            raise TransformError(f"{_shown(value)} is not a time: {error}") from None

    return convert


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(item) for item in value]
    made = decimal(value)
    return int(made) if made == made.to_integral_value() and abs(made) < 2**53 else float(made)


def _cut(value: Any, length: int) -> Any:
    if isinstance(value, list):
        return [_cut(item, length) for item in value]
    return value[:length] if isinstance(value, str) else value


def _json(value: Any) -> Any:
    try:
        return orjson.loads(value)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise TransformError(f"invalid JSON: {error}") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


_SIMPLE: dict[str, Transform] = {"seconds": _epoch(1), "millis": _epoch(1000), "number": _number, "json": _json}
