"""What is measured, and the page that says so."""

from __future__ import annotations

import re
import subprocess
import sys

from deploy.monitoring.generate import ROOT
from deploy.monitoring.source.declared import declared, series_names
from deploy.monitoring.source.metrics_page import LABELS, metrics_page

UNITS = ("_seconds", "_bytes", "_total", "_info", "_size", "_overlap")
COUNTS = {
    "mercato_client_breaker_open", "mercato_dependency_up", "mercato_outbox_changes", "mercato_releases_held",
    "mercato_retrieval_behaviour_unstored", "mercato_retrieval_products", "mercato_trainer_drift",
}  # fmt: skip
"""Gauges of things counted or of indexes, which have no unit."""
UNBOUNDED = {
    "tenant",
    "user",
    "user_id",
    "visitor_id",
    "session_id",
    "product",
    "product_id",
    "key",
    "query_text",
    "ip",
}


def test_names_follow_the_conventions_of_prometheus() -> None:
    for one in declared():
        assert re.fullmatch(r"mercato_[a-z0-9_]+", one.name)
        assert (one.kind == "counter") == one.name.endswith("_total"), one.name
        assert one.documentation.endswith("."), one.name
        if one.kind != "gauge":
            assert one.name.endswith(UNITS), one.name
        assert not one.name.endswith(("_ms", "_milliseconds", "_kb", "_mb"))


def test_no_label_can_hold_an_id_and_each_is_explained() -> None:
    for one in declared():
        assert not UNBOUNDED & set(one.labels), one.name
        assert set(one.labels) <= LABELS.keys(), one.name


def test_names_are_declared_once() -> None:
    names = [one.name for one in declared()]
    assert len(names) == len(set(names))
    assert "mercato_outbox_lag_seconds_bucket" in series_names(declared())


def test_generated_files_are_current() -> None:
    command = [sys.executable, str(ROOT / "deploy" / "monitoring" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_every_metric() -> None:
    page = metrics_page(declared())
    assert all(f"`{one.name}`" in page for one in declared())
