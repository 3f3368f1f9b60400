"""The authorisation table against the contract."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from services.gateway.access.scopes import ALL, NAMES, SETS, Scope, expand, unknown
from services.gateway.access.table import PACKAGE, TABLE, rule_of

CONTRACTS = Path(__file__).parents[4] / "protos" / "mercato" / "gateway" / "v1"


def methods() -> dict[str, object]:
    """Every rpc of every service in the gateway's package, by `Service/Method`, with its request's descriptor."""
    found = {}
    for path in CONTRACTS.glob("*.proto"):
        file = import_module(f"mercato.gateway.v1.{path.stem}_pb2").DESCRIPTOR
        for service in file.services_by_name.values():
            for method in service.methods:
                found[f"{service.name}/{method.name}"] = method.input_type
    return found


def test_every_rpc_has_a_row_and_every_row_an_rpc() -> None:
    assert set(TABLE) == set(methods())


def test_a_row_names_a_field_of_the_request() -> None:
    requests = methods()
    for name, rule in TABLE.items():
        message = requests[name]
        for part in rule.target.split(".") if rule.target else ():
            assert part in message.fields_by_name, name
            message = message.fields_by_name[part].message_type


@pytest.mark.parametrize("method", ["/mercato.gateway.v1.SearchService/Other", "/mercato.catalog.v1.X/Y", "", "Search"])
def test_what_has_no_row_has_no_rule(method: str) -> None:
    assert rule_of(method) is None


def test_old_names_are_sets_that_together_are_all() -> None:
    assert frozenset().union(*SETS.values()) == ALL == expand(("read", "write", "operate"))
    assert sum(map(len, SETS.values())) == len(ALL), "no scope is in two sets"
    assert expand(("search", "of a later release")) == {Scope.SEARCH}
    assert unknown(("search", "everything", "Read")) == ["Read", "everything"]
    assert set(NAMES) >= {scope.value for scope in ALL}


@pytest.mark.parametrize(
    ("method", "before"),
    [
        ("RecommendationService/Recommend", "read"),
        ("SupportService/Ask", "read"),
        ("SupportService/ListDocuments", "read"),
        ("ProfileService/GetUserProfile", "read"),
        ("ProductService/BatchGetProducts", "read"),
        ("ProductService/ImportProducts", "write"),
        ("UserEventService/WriteUserEventStream", "write"),
        ("UserEventService/EraseUserData", "operate"),
        ("OperationsService/GetStatus", "operate"),
    ],
)
def test_keys_of_earlier_releases_open_what_they_did(method: str, before: str) -> None:
    rule = rule_of(PACKAGE + method)
    assert rule is not None
    assert rule.scope in expand([before])
