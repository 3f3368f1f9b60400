"""The authorisation table: one row an rpc of the gateway. What has no row is refused to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.gateway.access.scopes import Scope

PACKAGE = "/mercato.gateway.v1."


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rpc needs."""

    scope: Scope
    audited: bool = False
    """Whether each call is an administrative act, written to the audit log."""
    target: str = ""
    """The path of the request's field that names what is acted on; never a person."""


TABLE: Mapping[str, Rule] = {
    "RecommendationService/Recommend": Rule(Scope.RECOMMEND),
    "RecommendationService/SimilarProducts": Rule(Scope.RECOMMEND),
    "RecommendationService/CompareProducts": Rule(Scope.RECOMMEND),
    "SearchService/Search": Rule(Scope.SEARCH),
    "SupportService/Ask": Rule(Scope.ASK),
    "SupportService/GetDocument": Rule(Scope.DOCUMENTS_READ),
    "SupportService/ListDocuments": Rule(Scope.DOCUMENTS_READ),
    "SupportService/ImportDocuments": Rule(Scope.DOCUMENTS_WRITE),
    "SupportService/DeleteDocument": Rule(Scope.DOCUMENTS_WRITE),
    "ProductService/GetProduct": Rule(Scope.CATALOG_READ),
    "ProductService/BatchGetProducts": Rule(Scope.CATALOG_READ),
    "ProductService/ListProducts": Rule(Scope.CATALOG_READ),
    "ProductService/ImportProducts": Rule(Scope.CATALOG_WRITE),
    "ProductService/UpdateProduct": Rule(Scope.CATALOG_WRITE),
    "ProductService/UpdateOffers": Rule(Scope.CATALOG_WRITE),
    "ProductService/DeleteProduct": Rule(Scope.CATALOG_WRITE),
    "UserEventService/WriteUserEvents": Rule(Scope.EVENTS),
    "UserEventService/WriteUserEventStream": Rule(Scope.EVENTS),
    "UserEventService/ExportUserData": Rule(Scope.PRIVACY, audited=True),
    "UserEventService/EraseUserData": Rule(Scope.PRIVACY, audited=True),
    "PrivacyService/GetErasure": Rule(Scope.PRIVACY),
    "PrivacyService/GetReceiptKey": Rule(Scope.PRIVACY),
    "PrivacyService/ApplyRetention": Rule(Scope.PRIVACY, audited=True),
    "PrivacyService/RotateKeys": Rule(Scope.KEYS, audited=True),
    "ProfileService/GetUserProfile": Rule(Scope.PROFILES),
    "OperationsService/GetStatus": Rule(Scope.OPERATIONS),
    "OperationsService/Train": Rule(Scope.OPERATIONS, audited=True),
    "OperationsService/ListReleases": Rule(Scope.OPERATIONS),
    "OperationsService/GetRelease": Rule(Scope.OPERATIONS),
    "OperationsService/PromoteRelease": Rule(Scope.OPERATIONS, audited=True, target="release_id"),
    "OperationsService/RollbackRelease": Rule(Scope.OPERATIONS, audited=True),
    "OperationsService/StartRollout": Rule(Scope.OPERATIONS, audited=True, target="release_id"),
    "OperationsService/StopRollout": Rule(Scope.OPERATIONS, audited=True),
    "OperationsService/GetRollout": Rule(Scope.OPERATIONS),
    "OperationsService/RebuildIndex": Rule(Scope.OPERATIONS, audited=True),
    "ExperimentService/CreateExperiment": Rule(Scope.OPERATIONS, audited=True, target="experiment.experiment_id"),
    "ExperimentService/GetExperiment": Rule(Scope.OPERATIONS),
    "ExperimentService/ListExperiments": Rule(Scope.OPERATIONS),
    "ExperimentService/UpdateExperiment": Rule(Scope.OPERATIONS, audited=True, target="experiment.experiment_id"),
    "ExperimentService/DeleteExperiment": Rule(Scope.OPERATIONS, audited=True, target="experiment_id"),
    "ExperimentService/StartExperiment": Rule(Scope.OPERATIONS, audited=True, target="experiment_id"),
    "ExperimentService/StopExperiment": Rule(Scope.OPERATIONS, audited=True, target="experiment_id"),
    "ExperimentService/GetExperimentReport": Rule(Scope.OPERATIONS),
    "OperationsService/CreateApiKey": Rule(Scope.KEYS, audited=True, target="name"),
    "OperationsService/ListApiKeys": Rule(Scope.KEYS),
    "OperationsService/RotateApiKey": Rule(Scope.KEYS, audited=True, target="key_id"),
    "OperationsService/RevokeApiKey": Rule(Scope.KEYS, audited=True, target="key_id"),
    "OperationsService/ListAuditEvents": Rule(Scope.AUDIT),
}
"""By `Service/Method`."""


def rule_of(method: str) -> Rule | None:
    """The row of ``/mercato.gateway.v1.Service/Method``; None when it has none."""
    return TABLE.get(method.removeprefix(PACKAGE)) if method.startswith(PACKAGE) else None


def action_of(method: str) -> str:
    """``Service/Method``, as the audit log names it."""
    return method.removeprefix(PACKAGE)
