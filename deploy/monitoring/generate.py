"""Writes docs/metrics.md, dashboards and rules; ``--check`` says what is not current and exits with 1."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "shared" / "protogen")]

from deploy.monitoring.source.dashboards import DASHBOARDS  # noqa: E402 - found by the path above
from deploy.monitoring.source.declared import declared  # noqa: E402
from deploy.monitoring.source.metrics_page import metrics_page  # noqa: E402
from deploy.monitoring.source.objectives import rules_file  # noqa: E402

MONITORING = ROOT / "deploy" / "monitoring"


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file and what it must hold."""
    yield ROOT / "docs" / "metrics.md", metrics_page(declared())
    yield MONITORING / "rules" / "objectives.yaml", rules_file(MONITORING / "objectives.yaml")
    for dashboard in DASHBOARDS:
        yield MONITORING / "dashboards" / f"{dashboard.uid}.json", dashboard.to_json()


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check, stale = parser.parse_args().check, []
    for path, content in files():
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(path.relative_to(ROOT))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    for path in stale:
        sys.stdout.write(f"{path}: {'not current, run make monitoring' if check else 'written'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
