"""Experiments as people write them down on the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from google.protobuf.json_format import Parse, ParseError
from google.type.money_pb2 import Money
from mercato.gateway.v1 import experiment_pb2 as pb

from services.cli.errors import CliError

T = TypeVar("T")
VARIANT = re.compile(r"(?P<id>[^@:]+)(?:@(?P<share>[0-9.]+))?(?::(?P<changes>.*))?")
CAP = re.compile(r"(?P<amount>[0-9]+(?:\.[0-9]+)?)\s*(?P<currency>[A-Z]{3})")
RANKERS = {"learned": pb.VARIANT_RANKER_LEARNED, "blend": pb.VARIANT_RANKER_BLEND}
FLAGS = {"true": True, "yes": True, "false": False, "no": False}


def variant_of(text: str) -> pb.ExperimentVariant:
    """Reads ``dense@0.3:diversity=0.1,ranker=blend``. Raises CliError."""
    found = VARIANT.fullmatch(text)
    if found is None:
        raise CliError(f"--variant: {text!r} must be NAME[@SHARE][:PARAMETER=VALUE,…]")
    variant = pb.ExperimentVariant(variant_id=found["id"], share=_number("share", found["share"] or "0"))
    for change in filter(None, (found["changes"] or "").split(",")):
        name, _, value = change.partition("=")
        _set(variant.parameters, name.strip(), value.strip())
    return variant


def _set(parameters: pb.ExperimentParameters, name: str, value: str) -> None:
    if name == "release":
        parameters.release_id = value
    elif name == "ranker":
        parameters.ranker = _one_of(name, value, RANKERS)
    elif name in ("diversity", "revenue_weight"):
        setattr(parameters, name, _number(name, value))
    elif name in ("exclude_purchased", "personalized"):
        setattr(parameters, name, _one_of(name, value, FLAGS))
    else:
        known = "release, ranker, diversity, revenue_weight, exclude_purchased or personalized"
        raise CliError(f"--variant: {name!r} is no parameter; name {known}")


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CliError(f"--variant: {name} is {value!r}: must be a number") from None


def _one_of(name: str, value: str, known: Mapping[str, T]) -> T:
    if value not in known:
        raise CliError(f"{name} is {value!r}: must be one of {', '.join(known)}")
    return known[value]


def list_kind_of(text: str) -> pb.ListKind.ValueType:
    """Reads ``product-page``. Raises CliError."""
    return _one_of("--list", text, _named(pb.ListKind.items(), "LIST_KIND_"))


def metric_of(option: str, text: str) -> pb.ExperimentMetric.ValueType:
    """Reads ``click-through``. Raises CliError."""
    return _one_of(option, text, _named(pb.ExperimentMetric.items(), "EXPERIMENT_METRIC_"))


def state_of(text: str) -> pb.ExperimentState.ValueType:
    """Reads ``running``. Raises CliError."""
    return _one_of("--state", text, _named(pb.ExperimentState.items(), "EXPERIMENT_STATE_"))


def _named(items: Sequence[tuple[str, T]], prefix: str) -> dict[str, T]:
    """Values of an enum as people write them: `LIST_KIND_PRODUCT_PAGE` becomes ``product-page``."""
    return {name.removeprefix(prefix).lower().replace("_", "-"): value for name, value in items if value}


def cap_of(text: str) -> Money:
    """Reads ``500 EUR``. Raises CliError."""
    found = CAP.fullmatch(text)
    if found is None:
        raise CliError(f"--cap: {text!r} must be an amount and a currency, such as '500 EUR'")
    units, _, part = found["amount"].partition(".")
    return Money(units=int(units), nanos=int((part or "0").ljust(9, "0")[:9]), currency_code=found["currency"])


def moment_of(text: str) -> datetime:
    """Reads ISO 8601; without a zone it is UTC. Raises CliError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(f"--end: {text!r} must be a time such as 2026-12-24T18:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def experiment_in(path: Path) -> pb.Experiment:
    """Reads the contract's JSON. Raises CliError."""
    try:
        return Parse(path.read_text(encoding="utf-8"), pb.Experiment())
    except OSError as error:
        raise CliError(f"--file: {path.name}: {error.strerror}") from None
    except (ParseError, UnicodeDecodeError) as error:
        raise CliError(f"--file: {path.name} holds no experiment: {error}") from None
