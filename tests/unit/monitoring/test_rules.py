"""Alerts, objectives and dashboards: of metrics that exist, with runbooks, and right by promtool's own tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.generate import MONITORING, ROOT
from deploy.monitoring.source.dashboards import DASHBOARDS
from deploy.monitoring.source.declared import declared, series_names
from deploy.monitoring.source.objectives import BURNS, RUNBOOKS, WINDOWS, read_objectives, rules

RULES = sorted((MONITORING / "rules").glob("*.yaml"))
FOREIGN = {
    "up",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_queue_duration_us",
    "nv_inference_request_failure",
    "nv_inference_request_success",
}
"""Of Prometheus, its client and Triton."""
SERIES = re.compile(r"\b(?:mercato|process|python|nv)_[a-z0-9_]+|\bup\b(?=\{)")
LE = re.compile(r'([a-z_]+)_bucket\{[^}]*le="([0-9.]+)"')
NEEDED = {"availability", "recommend-latency", "search-latency", "event-durability", "event-lag", "catalogue-freshness"}


def every_rule() -> list[dict[str, Any]]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in every_rule() if "alert" in rule]


def expressions() -> list[str]:
    queries = [query for dashboard in DASHBOARDS for query in dashboard.queries()]
    return [*(str(rule["expr"]) for rule in every_rule()), *queries]


def without_strings(expression: str) -> str:
    """Label values name services and methods, not metrics."""
    return re.sub(r'"[^"]*"', '""', expression)


def test_every_metric_in_rules_and_dashboards_exists() -> None:
    known = series_names(declared()) | FOREIGN
    named = {name for expression in expressions() for name in SERIES.findall(without_strings(expression))}
    recorded = {str(rule["record"]) for rule in every_rule() if "record" in rule}
    assert not named - known
    used = {name for expression in expressions() for name in re.findall(r"mercato:[a-z0-9_:]+", expression)}
    assert used <= recorded


def test_every_bound_of_a_histogram_in_a_rule_exists() -> None:
    bounds = {one.name: set(one.buckets) for one in declared() if one.kind == "histogram"}
    found = [match for expression in expressions() for match in LE.findall(expression)]
    assert found
    for name, bound in found:
        assert float(bound) in bounds[name], (name, bound)
        assert "." in bound, f"the client writes {float(bound)!r}"


def test_every_alert_has_a_summary_a_severity_and_a_runbook() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in {"page", "ticket"}, alert["alert"]
        assert alert["annotations"]["summary"].endswith((".", ").")), alert["alert"]
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}/{alert['alert']}.md"


@pytest.mark.parametrize("name", sorted({alert["alert"] for alert in alerts()}))
def test_every_runbook_says_what_how_and_what_is_safe(name: str) -> None:
    text = (ROOT / RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for heading in ("What it means", "How to see it", "What to do", "What is safe"):
        assert re.search(rf"^## {heading}\n\S", text, re.MULTILINE), heading


def test_every_runbook_has_an_alert_and_names_no_other_that_is_not_there() -> None:
    names = {alert["alert"] for alert in alerts()}
    pages = {path.stem: path.read_text() for path in (ROOT / RUNBOOKS).glob("*.md")}
    assert pages.keys() == names
    for name, text in pages.items():
        assert set(re.findall(r"\bMercato[A-Z][A-Za-z]+", text)) <= names, name
        for metric in re.findall(r"\bmercato_[a-z0-9_]+", text):
            assert metric in series_names(declared()) | {one.name for one in declared()}, (name, metric)


def test_the_objectives_are_the_ones_that_were_promised() -> None:
    objectives = read_objectives(MONITORING / "objectives.yaml")
    assert {one.name for one in objectives} == NEEDED
    assert all(0.9 < one.target < 1.0 and one.window == "28d" for one in objectives)


def test_budgets_are_watched_over_two_windows_each_as_the_workbook_says() -> None:
    groups = rules(read_objectives(MONITORING / "objectives.yaml"))["groups"]
    assert [(burn.factor, burn.long, burn.short) for burn in BURNS] == [
        (14.4, "1h", "5m"), (6.0, "6h", "30m"), (3.0, "1d", "2h"), (1.0, "3d", "6h"),
    ]  # fmt: skip
    for group in groups[:-1]:
        records = {rule["record"] for rule in group["rules"] if "record" in rule}
        assert records == {f"mercato:slo_errors:ratio_rate{window}" for window in WINDOWS}
        assert [rule["labels"]["severity"] for rule in group["rules"] if "alert" in rule] == ["page", "ticket"]


@pytest.mark.parametrize("path", sorted((MONITORING / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_can_be_imported(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    assert dashboard["uid"] == path.stem
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or (panel["targets"] and panel["fieldConfig"]["defaults"]["unit"])


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", *map(str, RULES))


@pytest.mark.parametrize("path", sorted((MONITORING / "rules" / "tests").glob("*.yaml")), ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    promtool("test", "rules", str(path))


def test_promtool_parses_every_query_of_the_dashboards(tmp_path: Path) -> None:
    queries = [query for dashboard in DASHBOARDS for query in dashboard.queries()]
    texts = [query.replace("$__rate_interval", "5m").replace("$job", ".*") for query in queries]
    group = {"name": "queries", "rules": [{"record": f"query:{n}", "expr": text} for n, text in enumerate(texts)]}
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [group]}))
    promtool("check", "rules", str(file))
