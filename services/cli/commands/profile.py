"""``mercato profile``."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from mercato.gateway.v1.profile_service_pb2 import GetUserProfileRequest
from mercato.gateway.v1.user_event_pb2 import UserEventType
from mercato.gateway.v1.user_profile_pb2 import UserProfile
from rich.console import Console

from services.cli.client import Gateway, with_gateway
from services.cli.commands.recommend import titles_of
from services.cli.errors import CliError
from services.cli.output import console, money, name_of, show_json, table
from services.cli.settings import settings_of

SHOWN = 8
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("profile")(profile)


def profile(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="The customer's account.")] = "",
    visitor: Annotated[str, typer.Option(help="The browser or device.")] = "",
) -> None:
    """Show what is known of one person."""
    settings = settings_of(context)
    if bool(user) == bool(visitor):
        raise CliError("give either --user or --visitor")
    request = GetUserProfileRequest(user_id=user, visitor_id=visitor)

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.profiles.GetUserProfile, request)
        if settings.json:
            show_json(answer)
            return
        found = answer.profile
        wanted = [item.product_id for item in found.repeat_intervals[:SHOWN]]
        wanted += [item.product_id for item in found.recent[:SHOWN]]
        wanted += [*found.session.viewed_product_ids[:SHOWN], *found.session.cart_product_ids[:SHOWN]]
        _show(console(), found, await titles_of(gateway, list(dict.fromkeys(wanted))))

    with_gateway(settings, work)


def _show(out: Console, profile: UserProfile, titles: dict[str, str]) -> None:
    _show_head(out, profile)
    interests = [("category", item) for item in profile.categories[:SHOWN]] + [
        ("brand", item) for item in profile.brands[:SHOWN]
    ]
    rows = [(kind, item.name, f"{item.share:.1%}") for kind, item in interests]
    out.print(table("Interests", ("kind", "name", "share"), rows, right=("share",)))
    repeats = [
        (item.product_id, titles.get(item.product_id, ""), str(item.purchase_count), f"{item.interval_days:.0f}",
         _day(item.last_purchase_time), _day(item.expected_time))
        for item in profile.repeat_intervals[:SHOWN]
    ]  # fmt: skip
    columns = ("product", "title", "times", "every days", "last", "next expected")
    out.print(table("Buys again and again", columns, repeats, right=("times", "every days")))
    recent = [
        (_day(item.event_time), name_of(item.event_type, UserEventType.keys(), "USER_EVENT_TYPE_"), item.product_id,
         titles.get(item.product_id, ""))
        for item in profile.recent[:SHOWN]
    ]  # fmt: skip
    out.print(table("Latest", ("day", "what", "product", "title"), recent))
    if profile.HasField("session"):
        _show_session(out, profile, titles)


def _show_head(out: Console, profile: UserProfile) -> None:
    bought = profile.purchases
    out.print(f"[bold]{profile.user_id or 'visitor'}[/bold] {' '.join(profile.visitor_ids)}")
    out.print(
        f"{profile.event_count:,} events; {bought.order_count:,} orders of {money(bought.mean_order_value)} on average,"
        f" {money(bought.revenue)} in all, one every {bought.order_interval_days:.1f} days,"
        f" the last on {_day(bought.last_purchase_time)}",
        markup=False,
    )
    rhythm = profile.rhythm
    if len(rhythm.hours) == 24 and len(rhythm.weekdays) == 7:
        hour = max(range(24), key=lambda number: rhythm.hours[number])
        day = max(range(7), key=lambda number: rhythm.weekdays[number])
        bands = ", ".join(f"from {money(band.low)} {band.share:.0%}" for band in profile.price_bands)
        out.print(f"most active on {WEEKDAYS[day]} and at {hour:02d}:00 UTC; prices {bands}", markup=False)


def _show_session(out: Console, profile: UserProfile, titles: dict[str, str]) -> None:
    session = profile.session
    out.print(
        f"running visit {session.session_id}: {session.event_count} events, last search {session.last_search_query!r}",
        markup=False,
    )
    for name, ids in (("viewed", session.viewed_product_ids), ("in the cart", session.cart_product_ids)):
        if ids:
            out.print(f"  {name}: {'; '.join(titles.get(product, product) for product in ids[:SHOWN])}", markup=False)


def _day(time: Timestamp) -> str:
    return time.ToDatetime().strftime("%Y-%m-%d") if time.seconds else ""
