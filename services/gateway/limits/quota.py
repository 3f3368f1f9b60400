"""What a tenant or one caller of it may use, and what a call costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from services.gateway.access.scopes import Scope

ITEM_FIELDS = ("events", "products", "documents", "offers", "product_ids")


@dataclass(frozen=True, slots=True)
class Quota:
    """Tokens and calls; one token is one light call."""

    per_second: float = 0.0
    """Tokens that flow in; 0: no limit."""
    burst: float = 1.0
    """Tokens that can be saved up."""
    at_once: int = 0
    """Calls at once in one gateway, streams included; 0: no limit."""

    def overridden(self, override: Override | None) -> Quota:
        """This quota with what the override says."""
        if override is None:
            return self
        per_second = self.per_second if override.per_second is None else override.per_second
        burst = override.burst
        if burst is None:
            scale = per_second / self.per_second if self.per_second else 0.0
            burst = self.burst * scale if scale else per_second * 2
        at_once = self.at_once if override.at_once is None else override.at_once
        return replace(self, per_second=per_second, burst=max(burst, 1.0), at_once=at_once)


@dataclass(frozen=True, slots=True)
class Override:
    """A stored exception from the configured quota; None: as configured."""

    per_second: float | None = None
    burst: float | None = None
    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """Tokens of a call by its scope, and of each item that it carries."""

    by_scope: Mapping[Scope, float]
    item: float

    def of_call(self, scope: Scope) -> float:
        """Tokens for the call itself."""
        return self.by_scope.get(scope, 1.0)

    def of_items(self, request: Any) -> float:
        """Tokens for the items of one message; 0 for what is no message of ours."""
        if not isinstance(request, Message):
            return 0.0
        fields = request.DESCRIPTOR.fields_by_name
        return self.item * sum(len(getattr(request, name)) for name in ITEM_FIELDS if name in fields)
