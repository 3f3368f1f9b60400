"""What nobody waits for in front of a page never has the priority of a shopper's request."""

from services.gateway.access.scopes import Scope
from services.gateway.access.table import PACKAGE, TABLE
from shared.context.priority import Priority
from shared.server.limits.classes import class_of

SHOPPER = {Scope.RECOMMEND, Scope.SEARCH, Scope.ASK}
BACK_OFFICE = {Scope.OPERATIONS, Scope.KEYS, Scope.AUDIT, Scope.PRIVACY, Scope.CATALOG_WRITE, Scope.DOCUMENTS_WRITE}


def test_every_public_rpc_has_the_class_of_its_scope() -> None:
    classes = {name: class_of(PACKAGE + name) for name in TABLE}
    assert {classes[name] for name, rule in TABLE.items() if rule.scope in SHOPPER} == {Priority.INTERACTIVE}
    wrong = [name for name, rule in TABLE.items() if rule.scope in BACK_OFFICE and not classes[name]]
    assert wrong == []
