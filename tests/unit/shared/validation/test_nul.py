"""NUL in text is found wherever it stands, and named by its path."""

from __future__ import annotations

from google.protobuf.message import Message
from mercato.gateway.v1 import (
    product_service_pb2,
    recommendation_service_pb2,
    search_service_pb2,
    user_event_service_pb2,
)

from shared.validation.nul import nul_violations


def paths(message: Message) -> list[str]:
    return [one.field for one in nul_violations(message, message.SerializeToString())]


def test_text_with_nul_is_named_by_its_path() -> None:
    search = search_service_pb2.SearchRequest(query="a\0", filter={"brands": ["x", "\0"]})  # type: ignore[arg-type]
    assert paths(search) == ["query", "filter.brands[1]"]
    recommend = recommendation_service_pb2.RecommendRequest(context={"product_id": "\0"})  # type: ignore[arg-type]
    assert paths(recommend) == ["context.product_id"]


def test_other_zeros_are_no_text() -> None:
    assert paths(recommendation_service_pb2.RecommendRequest(user_id="ann", revenue_weight=0.5)) == []


def test_items_that_are_checked_one_by_one_are_passed_over() -> None:
    events = user_event_service_pb2.WriteUserEventsRequest(events=[{"event_id": "\0"}])  # type: ignore[list-item]
    assert paths(events) == []
    assert paths(product_service_pb2.GetProductRequest(product_id="own\0")) == ["product_id"]
