"""What the commands that show products have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from google.type.money_pb2 import Money
from mercato.gateway.v1.product_pb2 import ProductFilter
from mercato.gateway.v1.recommendation_pb2 import Channel, MissingStage, RankedProduct, Stage
from rich.console import Console

from services.cli.errors import CliError
from services.cli.output import money, name_of, table

CONTRIBUTIONS_SHOWN = 5


def show_ranked(out: Console, title: str, results: Sequence[RankedProduct], *, explain: bool = False) -> None:
    """A table of products in their order."""
    if not results:
        out.print(f"{title}: nothing")
        return
    columns = ["", "product", "title", "brand", "price", "score", "from", "why"]
    rows = []
    for number, result in enumerate(results, 1):
        product = result.product
        row = [
            str(number),
            product.product_id,
            product.title,
            product.brand,
            money(product.price),
            f"{result.score:.3f}",
        ]
        rows.append([*row, name_of(result.channel, Channel.keys(), "CHANNEL_"), result.reason.text])
    out.print(table(title, columns, rows, right=("", "price", "score")))
    if explain:
        _show_contributions(out, results)


def _show_contributions(out: Console, results: Sequence[RankedProduct]) -> None:
    rows = []
    for number, result in enumerate(results, 1):
        parts = [
            f"{item.contribution:+.3f} {item.feature} ({item.value:.3g})"
            for item in result.contributions[:CONTRIBUTIONS_SHOWN]
        ]
        rows.append([str(number), result.product.title, "  ".join(parts)])
    out.print(table("How the scores came about", ("", "title", "contributions (value)"), rows, right=("",)))


def show_missing(out: Console, stages: Iterable[MissingStage]) -> None:
    """Says which stages were left out."""
    for missing in stages:
        out.print(
            f"left out: {name_of(missing.stage, Stage.keys(), 'STAGE_')} ({missing.cause})",
            style="yellow",
            markup=False,
        )


def product_filter(categories: Iterable[str], brands: Iterable[str], low: str, high: str) -> ProductFilter:
    """The filter of the options."""
    made = ProductFilter(categories=categories, brands=brands)
    if low:
        made.min_price.CopyFrom(_price(low))
    if high:
        made.max_price.CopyFrom(_price(high))
    return made


def _price(text: str) -> Money:
    """An amount without a currency: a shop sells in one."""
    try:
        amount = Decimal(text)
        nanos = int(amount * 1_000_000_000) if abs(amount) < 2**63 else None
    except (InvalidOperation, OverflowError, ValueError):
        nanos = None
    if nanos is None:
        raise CliError(f"{text!r} is not a price such as 2.50") from None
    sign = -1 if nanos < 0 else 1
    return Money(units=sign * (abs(nanos) // 1_000_000_000), nanos=sign * (abs(nanos) % 1_000_000_000))
