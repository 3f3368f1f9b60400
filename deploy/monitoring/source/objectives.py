"""Rules of the service level objectives: error ratios over several windows, and alerts on how fast the budget burns.

Multi-window, multi-burn-rate alerts as in Google's SRE Workbook, chapter 5: a long window says that it matters, a short
one that it still goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RATIO = "mercato:slo_errors:ratio_rate"
REMAINING = "mercato:slo_budget:remaining"
TARGET = "mercato:slo_objective:ratio"
RUNBOOKS = "docs/runbooks"


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert fires when the budget burns `factor` times too fast over both windows."""

    severity: str
    factor: float
    long: str
    short: str


BURNS = (
    Burn("page", 14.4, "1h", "5m"),  # 2 % of a 30-day budget in an hour
    Burn("page", 6.0, "6h", "30m"),  # 5 % in six hours
    Burn("ticket", 3.0, "1d", "2h"),  # 10 % in a day
    Burn("ticket", 1.0, "3d", "6h"),  # all of it if it goes on
)
WINDOWS = tuple(dict.fromkeys(window for burn in BURNS for window in (burn.short, burn.long)))


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective; `good` or `bad` is empty."""

    name: str
    title: str
    description: str
    target: float
    window: str
    good: str
    bad: str
    total: str

    @property
    def alert(self) -> str:
        """Name of its alerts and of its runbook."""
        return f"Mercato{self.title.replace(' ', '')}Budget"

    @property
    def budget(self) -> float:
        """Share of events that may be bad."""
        return round(1 - self.target, 9)

    def errors(self, window: str) -> str:
        """The share of bad events in a window; nothing without events."""
        total = f"sum(rate({self.total}[{window}]))"
        if self.bad:
            return f"(sum(rate({self.bad}[{window}])) or vector(0)) / {total}"
        return f"1 - (sum(rate({self.good}[{window}])) or vector(0)) / {total}"


def read_objectives(path: Path) -> list[Objective]:
    """Raises KeyError, ValueError for what is no such objective."""
    return [_objective(document) for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def _objective(document: dict[str, Any]) -> Objective:
    if (document["apiVersion"], document["kind"]) != ("openslo/v1", "SLO"):
        raise ValueError(f"not an OpenSLO v1 objective: {document['metadata']}")
    spec = document["spec"]
    ratio = spec["indicator"]["spec"]["ratioMetric"]

    def query(side: str) -> str:
        return str(ratio[side]["metricSource"]["spec"]["query"]) if side in ratio else ""

    return Objective(
        name=document["metadata"]["name"],
        title=document["metadata"]["displayName"],
        description=spec["description"],
        target=float(spec["objectives"][0]["target"]),
        window=spec["timeWindow"][0]["duration"],
        good=query("good"),
        bad=query("bad"),
        total=query("total"),
    )


def rules(objectives: list[Objective]) -> dict[str, Any]:
    """The content of a rule file."""
    groups = [{"name": f"mercato-slo-{one.name}", "rules": [*_recordings(one), *_alerts(one)]} for one in objectives]
    budgets = [rule for one in objectives for rule in _budget(one)]
    return {"groups": [*groups, {"name": "mercato-slo-budgets", "interval": "5m", "rules": budgets}]}


def _recordings(one: Objective) -> Iterator[dict[str, Any]]:
    for window in WINDOWS:
        yield {"record": f"{RATIO}{window}", "expr": one.errors(window), "labels": {"slo": one.name}}


def _alerts(one: Objective) -> Iterator[dict[str, Any]]:
    for severity in dict.fromkeys(burn.severity for burn in BURNS):
        conditions = [
            f'({RATIO}{burn.long}{{slo="{one.name}"}} > {burn.factor:g} * {one.budget:g}'
            f' and {RATIO}{burn.short}{{slo="{one.name}"}} > {burn.factor:g} * {one.budget:g})'
            for burn in BURNS
            if burn.severity == severity
        ]
        yield {
            "alert": one.alert,
            "expr": " or ".join(conditions),
            "for": "2m" if severity == "page" else "15m",
            "labels": {"severity": severity, "slo": one.name},
            "annotations": {
                "summary": f"{one.title}: the error budget burns too fast ({{{{ $value | humanizePercentage }}}} bad).",
                "description": f"{one.description} Objective {one.target:.2%} over {one.window}.",
                "runbook_url": f"{RUNBOOKS}/{one.alert}.md",
            },
        }


def _budget(one: Objective) -> Iterator[dict[str, Any]]:
    labels = {"slo": one.name}
    yield {"record": TARGET, "expr": f"vector({one.target:g})", "labels": labels}
    yield {"record": REMAINING, "expr": f"1 - ({one.errors(one.window)}) / {one.budget:g}", "labels": labels}


def rules_file(path: Path) -> str:
    """rules/objectives.yaml."""
    head = "# Written by `make monitoring` from objectives.yaml. Change that.\n"
    return head + yaml.safe_dump(rules(read_objectives(path)), sort_keys=False, width=1000)
