"""docs/metrics.md."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.monitoring.source.declared import SERVING
from shared.telemetry.metrics import PREFIX, Declared

LABELS = {
    "answered": "`first`, `second`: which of two requests",
    "arm": "`current`, `trial`: the release that answered",
    "by": "`memory`, `milvus`, `fallback`",
    "cache": "`text_vectors`, `behaviour_vectors`, `profile_features`, `product_vectors`, `item_vectors`, "
    "`content_neighbours`, `remembered_products`",
    "cause": "why, named in the code",
    "channel": "channels of candidates in `recommendation.proto`",
    "code": "status codes of gRPC",
    "dependency": "names of services and backing systems",
    "kind": "kinds of change, of training or of failure, named in the code",
    "limit": "`per_second`, `at_once`",
    "method": "full names of the rpcs in `protos/`",
    "model": "name of the text model in use: one series at a time",
    "operation": "operations on Milvus, or transactions, named in the code",
    "orderer": "`blend`, `learned`, `fallback`",
    "outbox": "`products`, `documents`",
    "outcome": "how it ended, named in the code",
    "part": "parts of an answer's making, named in the code",
    "peer": "names of services",
    "priority": "priorities in `shared/context/priority.py`",
    "query": "names of the statements in `queries.sql` and the other `.sql` files; `other`",
    "queue": "`event_loop`, `postgres_connections`, `milvus_searches`, `encoder_bulk`",
    "reason": "reasons of `error_reason.proto`",
    "release": "the release in use: one series at a time",
    "scope": "`key`, `tenant`, or where else a quota holds",
    "source": "`cache`, `model`",
    "stage": "stages in `recommendation.proto`",
    "state": "states of an erasure",
    "store": "stores of data, named in the code",
    "substitute": "what stood in for a stage, named in the code",
    "task": "background tasks, named in the code",
}
HEAD = """# Metrics

Written by `make monitoring` from the code; a test holds it current. Prometheus format, on
`MERCATO_<SERVICE>_METRICS_PORT` of each process. Beside these every process has `process_*` and `python_*` metrics of
the Prometheus client; Triton has `nv_*` of its own.

Every label has a bounded set of values: no ids of products, people or tenants, no texts. Rate, errors, duration of an
rpc: `mercato_server_calls_total` by method and code, `mercato_server_call_seconds` by method. Histograms have a
`_bucket`, `_sum` and `_count` series each.
"""


def metrics_page(metrics: Sequence[Declared]) -> str:
    """The page as Markdown."""
    lines = [HEAD]
    for title, found in _sections(metrics):
        lines += [f"## {title}", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
        lines += [_row(one) for one in found]
        lines.append("")
    used = {label for one in metrics for label in one.labels}
    lines += ["## Labels", "| label | values |", "|---|---|"]
    lines += [f"| `{label}` | {LABELS.get(label, '')} |" for label in sorted(used)]
    return "\n".join(lines) + "\n"


def _sections(metrics: Sequence[Declared]) -> list[tuple[str, list[Declared]]]:
    """Every process first, then by service."""
    own = {name: [one for one in metrics if one.name.startswith(f"{PREFIX}{name}_")] for name in SERVING}
    known = {one.name for found in own.values() for one in found}
    common = [one for one in metrics if one.name not in known]
    return [("Every process", common), *((name.capitalize(), found) for name, found in own.items() if found)]


def _row(one: Declared) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.kind} | {labels} | {one.documentation} |"
