"""Queries and the panels that most of the dashboards are made of."""

from __future__ import annotations

from deploy.monitoring.source.grafana import Panel

RANGE = "[$__rate_interval]"


def legend(by: str, before: str = "") -> str:
    """The labels of a series, one after the other."""
    return before + " ".join(f"{{{{{label}}}}}" for label in by.split(", ") if label)


def rate(series: str, by: str = "") -> str:
    """Increase a second, summed."""
    return f"sum {f'by ({by}) ' if by else ''}(rate({series}{RANGE}))"


def quantile(q: float, histogram: str, selector: str = "", by: str = "") -> str:
    """An estimate from a histogram."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket{{{selector}}}{RANGE})))"


def rates(title: str, series: str, by: str) -> Panel:
    """A counter a second."""
    return Panel(title, "reqps", [(rate(series, by), legend(by))])


def values(title: str, unit: str, *queries: tuple[str, str]) -> Panel:
    """Anything by its queries, each with its legend."""
    return Panel(title, unit, queries)


def gauges(title: str, unit: str, expression: str, by: str) -> Panel:
    """One query."""
    return Panel(title, unit, [(expression, legend(by))])


def latency(title: str, histogram: str, selector: str, by: str) -> Panel:
    """Median and 99th percentile in seconds."""
    pairs = [(quantile(q, histogram, selector, by), legend(by, f"p{int(q * 100)} ")) for q in (0.5, 0.99)]
    return Panel(title, "s", pairs)


def means(title: str, unit: str, total: str, count: str, by: str) -> Panel:
    """A mean, or a share: one counter over another."""
    return Panel(title, unit, [(f"{rate(total, by)} / {rate(count, by)}", legend(by))])
