"""Every metric that a process of the suite can have, read from the code."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import services
import shared
from shared.telemetry.metrics import DECLARED, Declared

SERVING = ("gateway", "catalog", "profile", "encoder", "retrieval", "ranking", "support", "trainer")
NOT_SERVING = ("shared.evaluation", "shared.features")
HISTOGRAM_SERIES = ("_bucket", "_sum", "_count")


def declared() -> list[Declared]:
    """By name. A service's wiring imports all of it, and never torch."""
    had_torch = "torch" in sys.modules
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        if not module.name.startswith(("shared.protogen", *NOT_SERVING)) and not module.name.endswith(
            ("graph_model", "__main__")
        ):
            importlib.import_module(module.name)
    for name in SERVING:
        importlib.import_module(f"{services.__name__}.{name}.wiring")
    assert had_torch or "torch" not in sys.modules
    return sorted(DECLARED, key=lambda one: one.name)


def series_names(metrics: list[Declared]) -> set[str]:
    """The names that Prometheus stores: a histogram is three."""
    names: set[str] = set()
    for one in metrics:
        names |= {f"{one.name}{end}" for end in HISTOGRAM_SERIES} if one.kind == "histogram" else {one.name}
    return names
