"""Grafana dashboards as JSON: a title, rows of panels, a panel of queries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 24, 8
SCHEMA = 39


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries` are expressions with their legends. `unit` is one of Grafana's: s, percentunit, reqps, short, bytes."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side under a title."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`variables` are label names by which it can be narrowed, each with a metric that has the label."""

    uid: str
    title: str
    rows: Sequence[Row]
    variables: Sequence[tuple[str, str]] = ()

    def to_json(self) -> str:
        """As Grafana imports it."""
        return json.dumps(self._content(), indent=1) + "\n"

    def queries(self) -> list[str]:
        """Every expression."""
        return [query for row in self.rows for panel in row.panels for query, _ in panel.queries]

    def _content(self) -> dict[str, Any]:
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["mercato"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": [_datasource(), *(_variable(*one) for one in self.variables)]},
            "links": [{"title": "Mercato", "type": "dashboards", "tags": ["mercato"], "asDropdown": True}],
            "panels": self._panels(),
        }

    def _panels(self) -> list[dict[str, Any]]:
        panels: list[dict[str, Any]] = []
        top = 0
        for row in self.rows:
            panels.append(
                {"id": len(panels) + 1, "type": "row", "title": row.title, "gridPos": _place(0, top, WIDTH, 1)}
            )
            width = WIDTH // len(row.panels)
            for number, panel in enumerate(row.panels):
                place = _place(number * width, top + 1, width, HEIGHT)
                panels.append({"id": len(panels) + 1, **_panel(panel), "gridPos": place})
            top += HEIGHT + 1
        return panels


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for number, (query, legend) in enumerate(panel.queries)
    ]
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if panel.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0 if panel.unit != "percentunit" else None},
            "overrides": [],
        },
        "options": options,
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _variable(label: str, metric: str) -> dict[str, Any]:
    return {
        "name": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({metric}, {label})", "refId": label},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "current": {"text": "All", "value": "$__all"},
    }
