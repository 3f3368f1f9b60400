"""``mercato recommend``, ``mercato similar`` and ``mercato compare``."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated

import grpc
import typer
from mercato.gateway.v1.product_service_pb2 import PRODUCT_VIEW_BASIC, BatchGetProductsRequest
from mercato.gateway.v1.profile_service_pb2 import GetUserProfileRequest
from mercato.gateway.v1.recommendation_service_pb2 import (
    CompareProductsRequest,
    Placement,
    RecommendRequest,
    SimilarProductsRequest,
)
from mercato.gateway.v1.user_event_pb2 import USER_EVENT_TYPE_PURCHASE
from mercato.gateway.v1.user_profile_pb2 import UserProfile
from rich.console import Console

from services.cli.client import Gateway, with_gateway
from services.cli.commands.products import show_missing, show_ranked
from services.cli.output import console, show_json, table
from services.cli.settings import settings_of

HISTORY_SHOWN = 10
OBJECTIVES = {"purchase": 0.0, "revenue": 1.0}


class PlacementName(StrEnum):
    """Where the list will stand."""

    HOME = "home"
    BUY_AGAIN = "buy-again"
    DISCOVER = "discover"
    PRODUCT_PAGE = "product-page"
    CART = "cart"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("recommend")(recommend)
    app.command("similar")(similar)
    app.command("compare")(compare)


def recommend(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="The customer's account.")] = "",
    visitor: Annotated[str, typer.Option(help="The browser or device.")] = "",
    placement: Annotated[PlacementName, typer.Option(help="Where the list will stand.")] = PlacementName.HOME,
    new: Annotated[bool, typer.Option("--new", help="Only products not bought before.")] = False,
    product: Annotated[str, typer.Option(help="The product on screen.")] = "",
    cart: Annotated[list[str] | None, typer.Option(help="A product in the cart; may be repeated.")] = None,
    explain: Annotated[bool, typer.Option(help="Show how the scores came about.")] = False,
    objective: Annotated[
        str, typer.Option(help="purchase, revenue, or a weight of revenue from 0 to 1; default: the placement's own.")
    ] = "",
    size: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many.")] = 10,
) -> None:
    """Recommend products to one person, beside what they bought lately."""
    settings = settings_of(context)
    request = RecommendRequest(
        user_id=user,
        visitor_id=visitor,
        placement=Placement.Value(f"PLACEMENT_{placement.name}"),
        page_size=size,
        exclude_purchased=new,
        explain=explain,
    )
    if objective:
        request.revenue_weight = revenue_weight_of(objective)
    if product or cart:
        request.context.product_id = product
        request.context.cart_product_ids.extend(cart or ())

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.recommendations.Recommend, request)
        if settings.json:
            show_json(answer)
            return
        out = console()
        if user or visitor:
            await _show_history(gateway, out, user, visitor)
        who = user or visitor or "an unknown person"
        show_ranked(out, f"Recommended to {who}", answer.results, explain=explain)
        show_missing(out, answer.missing_stages)
        if answer.release_id:
            out.print(f"release {answer.release_id}", style="dim", markup=False)

    with_gateway(settings, work)


def revenue_weight_of(objective: str) -> float:
    """The weight that an objective names. Raises BadParameter."""
    if objective in OBJECTIVES:
        return OBJECTIVES[objective]
    try:
        weight = float(objective)
    except ValueError:
        weight = -1.0
    if not 0.0 <= weight <= 1.0:
        raise typer.BadParameter(
            f"{objective!r} must be purchase, revenue or a number from 0 to 1", param_hint="--objective"
        )
    return weight


def similar(
    context: typer.Context,
    product: Annotated[str, typer.Option(help="The product.")],
    size: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many.")] = 10,
) -> None:
    """Show products like one product."""
    settings = settings_of(context)
    request = SimilarProductsRequest(product_id=product, page_size=size)

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.recommendations.SimilarProducts, request)
        if settings.json:
            show_json(answer)
            return
        out = console()
        titles = await titles_of(gateway, [product])
        show_ranked(out, f"Similar to {titles.get(product, product)}", answer.results)
        show_missing(out, answer.missing_stages)

    with_gateway(settings, work)


def compare(
    context: typer.Context,
    product: Annotated[str, typer.Argument(help="The product.")],
    others: Annotated[list[str], typer.Argument(help="Products to compare it with.")],
) -> None:
    """Show how alike products are by the meaning of their texts: cosine similarity and Pearson correlation."""
    settings = settings_of(context)
    request = CompareProductsRequest(product_id=product, other_product_ids=others)

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.recommendations.CompareProducts, request)
        if settings.json:
            show_json(answer)
            return
        titles = await titles_of(gateway, [product, *others])
        rows = [
            (one.product_id, titles.get(one.product_id, ""), f"{one.cosine:.3f}", f"{one.pearson:.3f}")
            for one in sorted(answer.similarities, key=lambda one: -one.cosine)
        ]
        columns = ("product", "title", "cosine", "Pearson")
        out = console()
        out.print(table(f"Compared with {titles.get(product, product)}", columns, rows, right=("cosine", "Pearson")))
        out.print(f"model {answer.model_release}", style="dim")

    with_gateway(settings, work)


async def titles_of(gateway: Gateway, product_ids: list[str]) -> dict[str, str]:
    """Titles by product id; what is not in the catalogue is left out."""
    if not product_ids:
        return {}
    request = BatchGetProductsRequest(product_ids=product_ids, view=PRODUCT_VIEW_BASIC)
    answer = await gateway.call(gateway.products.BatchGetProducts, request)
    return {product.product_id: product.title for product in answer.products}


async def _show_history(gateway: Gateway, out: Console, user: str, visitor: str) -> None:
    """What the person bought lately; nothing when the profile cannot be had: the answer itself matters more."""
    request = GetUserProfileRequest(user_id=user) if user else GetUserProfileRequest(visitor_id=visitor)
    try:
        profile = (await gateway.call(gateway.profiles.GetUserProfile, request)).profile
        rows = await _history_rows(gateway, profile)
    except grpc.aio.AioRpcError as error:
        unknown = error.code() is grpc.StatusCode.NOT_FOUND
        out.print(
            "Nothing is known of this person yet." if unknown else f"history: {error.details()}",
            style="dim",
            markup=False,
        )
        return
    out.print(
        table(f"Bought lately by {user or visitor}", ("last", "times", "product", "title"), rows, right=("times",))
    )
    out.print()


async def _history_rows(gateway: Gateway, profile: UserProfile) -> list[tuple[str, ...]]:
    bought = [item for item in profile.recent if item.event_type == USER_EVENT_TYPE_PURCHASE]
    times = Counter(item.product_id for item in bought)
    latest = {item.product_id: item for item in reversed(bought)}
    shown = sorted(times, key=lambda product: (-latest[product].event_time.seconds, -times[product]))[:HISTORY_SHOWN]
    titles = await titles_of(gateway, shown)
    return [
        (
            latest[product].event_time.ToDatetime().strftime("%Y-%m-%d"),
            str(times[product]),
            product,
            titles.get(product, ""),
        )
        for product in shown
    ]
