"""``mercato search``."""

from __future__ import annotations

from typing import Annotated

import typer
from mercato.gateway.v1.search_service_pb2 import SearchRequest

from services.cli.client import Gateway, with_gateway
from services.cli.commands.products import product_filter, show_missing, show_ranked
from services.cli.output import console, show_json
from services.cli.settings import settings_of

Texts = list[str] | None


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("search")(search)


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What a customer types.")] = "",
    category: Annotated[Texts, typer.Option(help="Only this category, at any level; may be repeated.")] = None,
    brand: Annotated[Texts, typer.Option(help="Only this brand; may be repeated.")] = None,
    min_price: Annotated[str, typer.Option(help="Lowest price, for example 2.50.")] = "",
    max_price: Annotated[str, typer.Option(help="Highest price.")] = "",
    user: Annotated[str, typer.Option(help="Whose interests weigh in the order.")] = "",
    explain: Annotated[bool, typer.Option(help="Show how the scores came about.")] = False,
    size: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many.")] = 10,
    page_token: Annotated[str, typer.Option(help="The next page of an earlier search.")] = "",
) -> None:
    """Find products by meaning and by words."""
    settings = settings_of(context)
    request = SearchRequest(
        query=query,
        filter=product_filter(category or (), brand or (), min_price, max_price),
        page_size=size,
        page_token=page_token,
        user_id=user,
        explain=explain,
    )

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.searching.Search, request)
        if settings.json:
            show_json(answer)
            return
        out = console()
        show_ranked(out, f"Found for {query!r}" if query else "Found", answer.results, explain=explain)
        show_missing(out, answer.missing_stages)
        if answer.next_page_token:
            out.print(f"more: --page-token {answer.next_page_token}", style="dim", markup=False, soft_wrap=True)

    with_gateway(settings, work)
