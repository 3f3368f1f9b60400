"""A shop's back end: imports products, asks for a list, tells what became of it, reads errors.

    python example.py GATEWAY TENANT

Needs the package mercato; the key of the shop is read from MERCATO_API_KEY.
"""

import os
import sys
import uuid

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from mercato.gateway.v1.product_pb2 import Product
from mercato.gateway.v1.recommendation_service_pb2 import RecommendRequest
from mercato.gateway.v1.search_service_pb2 import SearchRequest
from mercato.gateway.v1.support_service_pb2 import AskRequest
from mercato.gateway.v1.user_event_pb2 import USER_EVENT_TYPE_PRODUCT_VIEW, EventProduct, UserEvent
from mercato_client import Mercato, Options, problem_of


def main(gateway: str, tenant: str) -> None:
    """The life of a page, once."""
    options = Options(tenant=tenant, api_key=os.environ.get("MERCATO_API_KEY", ""))
    with Mercato(gateway, options) as mercato:
        price = Money(currency_code="EUR", units=1, nanos=990_000_000)
        titles = {"py-1": "Whole milk", "py-2": "Rye bread"}
        done = mercato.import_products(
            Product(product_id=product_id, title=title, price=price, category_path=["Grocery"])
            for product_id, title in titles.items()
        )
        print(f"imported {done.sent} products, {len(done.rejected)} rejected")

        wanted = RecommendRequest(user_id="py-user", page_size=3)
        answer = mercato.call(mercato.stubs.recommendations.Recommend, wanted, timeout=2)
        now = Timestamp()
        now.GetCurrentTime()
        event = UserEvent(
            event_id=str(uuid.uuid4()),
            event_type=USER_EVENT_TYPE_PRODUCT_VIEW,
            event_time=now,
            user_id="py-user",
            products=[EventProduct(product_id="py-1")],
            attribution_token=answer.attribution_token,
        )
        written = mercato.import_events([event])
        print(f"token {bool(answer.attribution_token)}, events {written.counts['accepted_count']}")

        for part in mercato.stream(mercato.stubs.support.Ask, AskRequest(question="Can I return milk?")):
            if part.HasField("conclusion"):
                print(f"answered with outcome {part.conclusion.outcome}")
        try:
            mercato.call(mercato.stubs.searching.Search, SearchRequest(query="milk", page_size=-1))
        except grpc.RpcError as error:
            problem = problem_of(error)
            print(f"refused: {problem.code.name} {problem.reason} {[one.field for one in problem.violations]}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
