"""What all retention jobs count."""

from __future__ import annotations

from shared.telemetry.metrics import counter

REMOVED = counter("retention_removed_total", "Records removed because of their age.", ("store", "kind"))
