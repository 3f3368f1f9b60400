"""One thread through everything: what a shop does on its first day."""

from __future__ import annotations

import grpc
import pytest
from mercato.gateway.v1 import (
    product_pb2,
    product_service_pb2,
    profile_service_pb2,
    recommendation_pb2,
    recommendation_service_pb2,
    support_service_pb2,
    user_event_pb2,
    user_event_service_pb2,
)

from tests.e2e.shop import Shop, products, purchase, until

Placement = recommendation_service_pb2.Placement


def ids(response: object) -> list[str]:
    return [result.product.product_id for result in response.results]  # type: ignore[attr-defined]


async def test_a_shops_first_day(shop: Shop) -> None:
    await shop.filled()

    home = await shop.recommend("user-1", page_size=5, explain=True)
    assert not home.missing_stages
    assert {"dairy-0", "bakery-0"} <= set(ids(home)[:3]), "what this person buys every week"
    first = home.results[0]
    assert first.product.title
    assert first.reason.text.startswith("You b")
    assert sum(part.contribution for part in first.contributions) == pytest.approx(first.score, abs=1e-6)

    new = await shop.recommend("user-1", page_size=20, placement=Placement.PLACEMENT_DISCOVER)
    profile = (
        await shop.call(shop.profiles.GetUserProfile, profile_service_pb2.GetUserProfileRequest(user_id="user-1"))
    ).profile
    bought = {item.product_id for item in profile.recent}
    assert bought
    assert not bought & set(ids(new))
    assert profile.purchases.order_count == 10

    similar = await shop.call(
        shop.recommendations.SimilarProducts,
        recommendation_service_pb2.SimilarProductsRequest(product_id="coffee-1", page_size=10),
    )
    assert "coffee-1" not in ids(similar)
    assert any(product_id.startswith("coffee") for product_id in ids(similar))

    found = await shop.search("fresh bread", page_size=3)
    assert not found.missing_stages
    assert all(product_id.startswith("bakery") for product_id in ids(found))

    answer = await shop.ask("How many days do I have to return a product?")
    assert answer[0].citation.document_id == "returns"
    assert "30 days" in "".join(part.text.text for part in answer)
    assert answer[-1].conclusion.outcome == support_service_pb2.ANSWER_OUTCOME_ANSWERED
    unknown = await shop.ask("What is the capital of France?")
    assert [part.WhichOneof("part") for part in unknown] == ["conclusion"]
    assert unknown[0].conclusion.handover


async def test_what_a_person_just_did_counts_in_the_next_answer(shop: Shop) -> None:
    await shop.filled()
    before = await shop.recommend("user-9", page_size=20)
    written = await shop.write(
        [purchase("now-1", "user-9", ["produce-4"], 3.0), purchase("now-2", "user-9", ["produce-4"], 0.01)]
    )
    assert written.accepted_count == 2
    after = await shop.recommend("user-9", page_size=20)
    assert ids(after)[0] == "produce-4" != ids(before)[0]
    again = await shop.write([purchase("now-1", "user-9", ["produce-4"], 3.0)])
    assert (again.accepted_count, again.duplicate_count) == (0, 1)


async def test_a_visitor_who_logs_in_keeps_what_they_did(shop: Shop) -> None:
    await shop.import_products(products())

    def view(event_id: str, **who: str) -> user_event_pb2.UserEvent:
        event = purchase(event_id, "", ["coffee-1"], 0.001)
        event.event_type = user_event_pb2.USER_EVENT_TYPE_PRODUCT_VIEW
        event.ClearField("purchase")
        event.user_id, event.visitor_id = who.get("user_id", ""), who.get("visitor_id", "")
        return event

    await shop.write([view("v1", visitor_id="browser-1")])
    await shop.write([view("v2", visitor_id="browser-1", user_id="user-20")])
    profile = (
        await shop.call(shop.profiles.GetUserProfile, profile_service_pb2.GetUserProfileRequest(user_id="user-20"))
    ).profile
    assert profile.event_count == 2
    assert list(profile.visitor_ids) == ["browser-1"]


async def test_price_stock_and_deletion_reach_answers(shop: Shop) -> None:
    await shop.filled()
    offer = product_pb2.ProductOffer(product_id="bakery-1", availability=product_pb2.AVAILABILITY_OUT_OF_STOCK)
    offer.offer_time.GetCurrentTime()
    await shop.call(shop.products.UpdateOffers, product_service_pb2.UpdateOffersRequest(offers=[offer]))
    assert "bakery-1" not in ids(await shop.search("sourdough bread"))
    await shop.call(shop.products.DeleteProduct, product_service_pb2.DeleteProductRequest(product_id="bakery-0"))
    assert "bakery-0" not in ids(await shop.recommend("user-1", page_size=20))
    assert "bakery-0" not in ids(await shop.search("white bread"))

    async def cheap() -> bool:
        changed = product_pb2.ProductOffer(product_id="coffee-0", price={"units": 900, "currency_code": "USD"})  # type: ignore[arg-type]
        changed.offer_time.GetCurrentTime()
        await shop.call(shop.products.UpdateOffers, product_service_pb2.UpdateOffersRequest(offers=[changed]))
        filter_ = product_pb2.ProductFilter(min_price={"units": 500, "currency_code": "USD"})  # type: ignore[arg-type]
        return ids(await shop.search("coffee", filter=filter_)) == ["coffee-0"]

    await until(cheap, 20)


async def test_filters_hold_in_every_channel(shop: Shop) -> None:
    await shop.filled()
    organic = product_pb2.ProductFilter(
        categories=["Dairy", "Coffee"],
        attributes=[product_pb2.AttributeFilter(name="organic", texts=["yes"])],
        max_price={"units": 3, "currency_code": "USD"},  # type: ignore[arg-type]
    )
    for response in (await shop.recommend("user-1", filter=organic), await shop.search("milk", filter=organic)):
        assert set(ids(response)) <= {"dairy-1", "coffee-1"}
        assert ids(response)
    cart = recommendation_pb2.RequestContext(cart_product_ids=["dairy-0"], product_id="bakery-0")
    assert not {"dairy-0", "bakery-0"} & set(ids(await shop.recommend("user-1", context=cart, page_size=20)))


async def test_all_rooms_name_categories_alike(shop: Shop) -> None:
    """Otherwise a channel and a feature would be empty without any error."""
    await shop.filled()

    async def interest_counts() -> bool:
        answer = await shop.recommend("user-1", page_size=20, explain=True, exclude_purchased=True)
        channels = {channel for result in answer.results for channel in result.channels}
        parts = [part for result in answer.results for part in result.contributions if part.feature == "leaf_demand"]
        return recommendation_pb2.CHANNEL_POPULAR_IN_CATEGORY in channels and len({part.value for part in parts}) > 1

    await until(interest_counts)  # the profile learns categories from the catalogue a moment later


async def test_search_pages_fit_together(shop: Shop) -> None:
    await shop.filled()
    whole = ids(await shop.search("food", page_size=20))
    pages: list[str] = []
    token = ""
    while True:
        page = await shop.search("food", page_size=6, page_token=token)
        pages += ids(page)
        token = page.next_page_token
        if not token:
            break
    assert pages == whole
    assert len(set(pages)) == len(pages)
    first = await shop.search("food", page_size=6)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await shop.search("other", page_token=first.next_page_token)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_persons_data_leave_and_are_erased(shop: Shop) -> None:
    await shop.filled()
    export = user_event_service_pb2.ExportUserDataRequest(user_id="user-3")
    events = [
        event async for part in shop.events.ExportUserData(export, metadata=shop.metadata) for event in part.events
    ]
    assert len(events) == 10
    receipt = await shop.call(shop.events.EraseUserData, user_event_service_pb2.EraseUserDataRequest(user_id="user-3"))
    assert receipt.erased_event_count == 10
    assert receipt.receipt_id
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await shop.call(shop.profiles.GetUserProfile, profile_service_pb2.GetUserProfileRequest(user_id="user-3"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


async def test_an_attribution_token_comes_back_with_events(shop: Shop) -> None:
    await shop.filled()
    shown = await shop.recommend("user-1", page_size=3)
    click = user_event_pb2.UserEvent(
        event_id="click-1",
        event_type=user_event_pb2.USER_EVENT_TYPE_CLICK,
        user_id="user-1",
        attribution_token=shown.attribution_token,
        products=[{"product_id": ids(shown)[0]}],  # type: ignore[list-item]
    )
    click.event_time.GetCurrentTime()
    forged = user_event_pb2.UserEvent()
    forged.CopyFrom(click)
    forged.event_id, forged.attribution_token = "click-2", shown.attribution_token[:-2] + "AA"
    written = await shop.write([forged, click])
    assert written.accepted_count == 1
    assert [(error.index, error.violations[0].field) for error in written.rejected] == [(0, "attribution_token")]
