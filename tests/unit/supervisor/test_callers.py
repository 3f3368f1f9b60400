"""Who may call whom, against what services are configured to call."""

from __future__ import annotations

from importlib import import_module

from services.supervisor.services import CALLERS, SERVICES
from shared.settings.base import ServiceSettings


def test_every_service_may_call_what_it_has_an_address_of() -> None:
    called: dict[str, set[str]] = {name: set() for name in SERVICES if name != "gateway"}
    for name in SERVICES:
        module = import_module(f"services.{name}.settings")
        settings = [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, ServiceSettings) and kind is not ServiceSettings
        ]
        for kind in settings:
            for other in called:
                if f"{other}_address" in kind.model_fields:
                    called[other].add(name)
    assert {name: set(callers) for name, callers in CALLERS.items()} == called
