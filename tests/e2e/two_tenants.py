"""Two shops with the same ids and different words, and one case for every rpc of the gateway."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from mercato.gateway.v1 import (
    api_key_pb2,
    audit_event_pb2,
    experiment_pb2,
    experiment_service_pb2,
    operations_service_pb2,
    privacy_service_pb2,
    product_pb2,
    product_service_pb2,
    profile_service_pb2,
    recommendation_service_pb2,
    support_document_pb2,
    support_service_pb2,
    user_event_pb2,
    user_event_service_pb2,
)
from mercato.gateway.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from mercato.gateway.v1.privacy_service_pb2_grpc import PrivacyServiceStub

from tests.e2e.shop import DAY, Shop, until

USER, VISITOR, DOCUMENT, EXPERIMENT = "user-1", "browser-1", "returns", "trial"
ABSENT = "00000000-0000-4000-8000-000000000000"


@dataclass
class Tenant:
    """One shop: everything that it says holds its word, which nobody else uses."""

    word: str
    shop: Shop
    channel: grpc.aio.Channel
    count: int
    """Products; the shops have different numbers of them under the same ids."""
    own_ids: set[str] = field(default_factory=set)
    """Ids that the suite chose for this tenant: releases, keys, receipts."""
    release_id: str = ""
    key_id: str = ""
    receipt_id: str = ""
    attribution_token: str = ""
    page_token: str = ""

    def products(self) -> list[product_pb2.Product]:
        return [
            product_pb2.Product(
                product_id=f"p-{number}",
                title=f"{self.word} milk {number}",
                brand=f"{self.word} dairy",
                category_path=["Grocery", f"{self.word} shelf"],
                price={"units": 1 + number, "currency_code": "USD"},
                attributes=[{"name": "taste", "texts": [f"{self.word} taste"]}],
            )
            for number in range(self.count)
        ]

    def events(self) -> list[user_event_pb2.UserEvent]:
        bought = [
            user_event_pb2.UserEvent(
                event_id=f"buy-{number}",
                event_type=user_event_pb2.USER_EVENT_TYPE_PURCHASE,
                event_time={"seconds": int(time.time() - number * DAY)},
                user_id=f"user-{number % 3}",
                visitor_id=f"browser-{number % 3}",
                products=[{"product_id": f"p-{step % self.count}", "quantity": 1} for step in (number, number + 1)],
                purchase={"revenue": {"units": 5, "currency_code": "USD"}, "transaction_id": f"{self.word}-{number}"},
            )
            for number in range(1, 13)
        ]
        return [*bought, self.search_event("search-1")]

    def search_event(self, event_id: str, token: str = "") -> user_event_pb2.UserEvent:
        return user_event_pb2.UserEvent(
            event_id=event_id,
            event_type=user_event_pb2.USER_EVENT_TYPE_SEARCH,
            event_time={"seconds": int(time.time()) - 60},
            user_id=USER,
            visitor_id=VISITOR,
            search_query=f"{self.word} milk",
            attribution_token=token,
            attributes=[{"name": "note", "value": f"{self.word} note"}],
        )

    def document(self, document_id: str = DOCUMENT) -> support_document_pb2.SupportDocument:
        text = f"# Returns\n{self.word} customers can return milk within {10 + self.count} days of the purchase."
        return support_document_pb2.SupportDocument(document_id=document_id, title=f"{self.word} returns", text=text)

    def experiment(self) -> experiment_pb2.Experiment:
        return experiment_pb2.Experiment(
            experiment_id=EXPERIMENT,
            description=f"{self.word} trial",
            share=1.0,
            variants=[
                {"variant_id": "control", "share": 0.5},
                {"variant_id": "diverse", "share": 0.5, "parameters": {"diversity": 0.5}},
            ],
            list_kinds=[experiment_pb2.LIST_KIND_HOME],
            primary_metric=experiment_pb2.EXPERIMENT_METRIC_CONVERSION,
        )


Case = Callable[[Tenant, Tenant], Awaitable[Sequence[Message | str]]]


async def refused(call: Awaitable[Any]) -> list[str]:
    """What an error says. Raises AssertionError when the call succeeds."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return [f"{error.code().name} {error.details()}"]
    raise AssertionError(f"was not refused: {answer}")


async def one(me: Tenant, method: Any, request: Message, **options: Any) -> list[Message]:
    return [await me.shop.call(method, request, **options)]


async def several(me: Tenant, method: Any, request: Message) -> list[Message]:
    return [part async for part in method(request, metadata=me.shop.metadata)]


async def exchange(me: Tenant, method: Any, *requests: Message) -> list[Message]:
    async def sent() -> AsyncIterator[Message]:
        for request in requests:
            yield request

    return [part async for part in method(sent(), metadata=me.shop.metadata)]


def text_of(answers: Sequence[Message | str]) -> str:
    """Everything that a caller was told."""
    return "\n".join(answer if isinstance(answer, str) else MessageToJson(answer) for answer in answers)


async def _import_products(me: Tenant, other: Tenant) -> list[Message]:
    request = product_service_pb2.ImportProductsRequest(products=me.products())
    return await exchange(me, me.shop.products.ImportProducts, request)


async def _import_documents(me: Tenant, other: Tenant) -> list[Message]:
    documents = [me.document(), me.document("spare")]
    request = support_service_pb2.ImportDocumentsRequest(documents=documents)
    return await exchange(me, me.shop.support.ImportDocuments, request)


async def _write_events(me: Tenant, other: Tenant) -> list[Message]:
    written = await me.shop.write(me.events())
    assert (written.accepted_count, written.duplicate_count) == (13, 0), "ids of another tenant are not mine"
    return [written]


async def _write_event_stream(me: Tenant, other: Tenant) -> list[Message]:
    request = user_event_service_pb2.WriteUserEventStreamRequest(events=[me.search_event("search-2")])
    return await exchange(me, me.shop.events.WriteUserEventStream, request)


async def _train(me: Tenant, other: Tenant) -> list[Message]:
    async def indexed() -> bool:
        return await me.shop.indexed_now()

    await until(indexed)
    request = operations_service_pb2.TrainRequest(kind=operations_service_pb2.TRAINING_KIND_TABLES)
    steps = await several(me, me.shop.operations.Train, request)
    me.release_id = steps[-1].release.release_id
    me.own_ids.add(me.release_id)

    async def answers_use_it() -> bool:
        return bool((await me.shop.recommend(USER)).release_id == me.release_id)

    await until(answers_use_it)
    return steps


async def _status(me: Tenant, other: Tenant) -> list[Message]:
    status = await me.shop.status()
    assert (status.product_count, status.event_count, status.document_count) == (me.count, 14, 2)
    return [status]


async def _list_products(me: Tenant, other: Tenant) -> list[Message | str]:
    request = product_service_pb2.ListProductsRequest(page_size=4, view=product_service_pb2.PRODUCT_VIEW_FULL)
    first = await one(me, me.shop.products.ListProducts, request)
    me.page_token = first[0].next_page_token
    request.page_token = other.page_token or me.page_token
    return [*first, *await one(me, me.shop.products.ListProducts, request)]


async def _recommend(me: Tenant, other: Tenant) -> list[Message]:
    answer = await me.shop.recommend(USER, explain=True)
    assert {result.product.product_id for result in answer.results} <= {f"p-{number}" for number in range(me.count)}
    me.attribution_token = answer.attribution_token
    return [answer]


async def _search(me: Tenant, other: Tenant) -> list[Message]:
    found = await me.shop.search(f"{other.word} milk")
    return [found, await me.shop.search("milk", page_size=2)]


async def _ask(me: Tenant, other: Tenant) -> list[Message]:
    return await me.shop.ask("Within how many days can I return milk?")


async def _profile(me: Tenant, other: Tenant) -> list[Message]:
    request = profile_service_pb2.GetUserProfileRequest(user_id=USER)
    return await one(me, me.shop.profiles.GetUserProfile, request)


async def _export(me: Tenant, other: Tenant) -> list[Message]:
    request = user_event_service_pb2.ExportUserDataRequest(user_id=USER)
    return await several(me, me.shop.events.ExportUserData, request)


async def _erase(me: Tenant, other: Tenant) -> list[Message]:
    request = user_event_service_pb2.EraseUserDataRequest(user_id=USER)
    receipt = await me.shop.call(me.shop.events.EraseUserData, request, timeout=60)
    assert receipt.erased_event_count == 6, "four purchases and two searches, also after the other tenant's erasure"
    me.receipt_id = receipt.receipt_id
    me.own_ids.add(me.receipt_id)
    return [receipt]


async def _delete_product(me: Tenant, other: Tenant) -> list[Message | str]:
    request = product_service_pb2.DeleteProductRequest(product_id="p-0")
    gone = await one(me, me.shop.products.DeleteProduct, request)
    return [*gone, *await refused(me.shop.call(me.shop.products.DeleteProduct, request))]


async def _delete_document(me: Tenant, other: Tenant) -> list[Message]:
    request = support_service_pb2.DeleteDocumentRequest(document_id="spare")
    return await one(me, me.shop.support.DeleteDocument, request)


async def _update_product(me: Tenant, other: Tenant) -> list[Message]:
    product = product_pb2.Product(product_id="p-1", title=f"{me.word} fresh milk 1")
    request = product_service_pb2.UpdateProductRequest(product=product, update_mask={"paths": ["title"]})
    return await one(me, me.shop.products.UpdateProduct, request)


async def _update_offers(me: Tenant, other: Tenant) -> list[Message]:
    offer = product_pb2.ProductOffer(product_id="p-2", price={"units": 9, "currency_code": "USD"})
    offer.offer_time.GetCurrentTime()
    missing = product_pb2.ProductOffer(product_id=f"p-{me.count}", price={"units": 9, "currency_code": "USD"})
    missing.offer_time.GetCurrentTime()
    answer = await one(
        me, me.shop.products.UpdateOffers, product_service_pb2.UpdateOffersRequest(offers=[offer, missing])
    )
    assert answer[0].updated_count == 1, "a product that only the other tenant has is not mine"
    return answer


def operations(name: str, request: Callable[[Tenant, Tenant], Message], *, foreign: bool = False) -> Case:
    """A unary rpc of OperationsService; ``foreign`` asks for what belongs to the other tenant and is refused."""

    async def case(me: Tenant, other: Tenant) -> Sequence[Message | str]:
        method = getattr(me.shop.operations, name)
        if foreign:
            return await refused(me.shop.call(method, request(me, other)))
        return await one(me, method, request(me, other))

    return case


async def _get_release(me: Tenant, other: Tenant) -> list[Message | str]:
    mine = operations_service_pb2.GetReleaseRequest(release_id=me.release_id)
    found = await one(me, me.shop.operations.GetRelease, mine)
    theirs = operations_service_pb2.GetReleaseRequest(release_id=other.release_id)
    return [*found, *_without(await refused(me.shop.call(me.shop.operations.GetRelease, theirs)), other)]


def _without(said: Sequence[str], other: Tenant) -> list[str]:
    """What was said, less the id that was asked for."""
    for one_id in other.own_ids:
        said = [text.replace(one_id, "<asked for>") for text in said]
    return list(said)


async def _foreign_release(me: Tenant, other: Tenant, name: str, **fields: Any) -> list[str]:
    request = getattr(operations_service_pb2, f"{name}Request")(release_id=other.release_id, **fields)
    said = await refused(me.shop.call(getattr(me.shop.operations, name), request))
    assert said[0].startswith("NOT_FOUND"), said
    return _without(said, other)


async def _promote(me: Tenant, other: Tenant) -> list[Message | str]:
    return list(await _foreign_release(me, other, "PromoteRelease"))


async def _start_rollout(me: Tenant, other: Tenant) -> list[Message | str]:
    return list(await _foreign_release(me, other, "StartRollout", mode=operations_service_pb2.ROLLOUT_MODE_SHADOW))


async def _rebuild(me: Tenant, other: Tenant) -> list[Message]:
    return await several(me, me.shop.operations.RebuildIndex, operations_service_pb2.RebuildIndexRequest())


async def _create_key(me: Tenant, other: Tenant) -> list[Message]:
    request = api_key_pb2.CreateApiKeyRequest(name="walk", scopes=["search"])
    made = await me.shop.call(me.shop.operations.CreateApiKey, request)
    me.key_id = made.key.key_id
    me.own_ids.add(me.key_id)
    return [made]


def foreign_key(name: str) -> Case:
    async def case(me: Tenant, other: Tenant) -> Sequence[Message | str]:
        method, kind = getattr(me.shop.operations, name), getattr(api_key_pb2, f"{name}Request")
        said = await refused(me.shop.call(method, kind(key_id=other.key_id or "k-none")))
        return [*_without(said, other), *await one(me, method, kind(key_id=me.key_id))]

    return case


def experiments(name: str, request: Callable[[Tenant], Message]) -> Case:
    async def case(me: Tenant, other: Tenant) -> Sequence[Message | str]:
        method = getattr(ExperimentServiceStub(me.channel), name)
        return await one(me, method, request(me))

    return case


def privacy(name: str, request: Callable[[Tenant, Tenant], Message]) -> Case:
    async def case(me: Tenant, other: Tenant) -> Sequence[Message | str]:
        return await one(me, getattr(PrivacyServiceStub(me.channel), name), request(me, other))

    return case


async def _rotate_sealing(me: Tenant, other: Tenant) -> list[Message]:
    request = privacy_service_pb2.RotateKeysRequest()
    return await several(me, PrivacyServiceStub(me.channel).RotateKeys, request)


async def _erasure(me: Tenant, other: Tenant) -> list[Message | str]:
    method = PrivacyServiceStub(me.channel).GetErasure
    found = await one(me, method, privacy_service_pb2.GetErasureRequest(receipt_id=me.receipt_id))
    theirs = privacy_service_pb2.GetErasureRequest(receipt_id=other.receipt_id or ABSENT)
    return [*found, *_without(await refused(me.shop.call(method, theirs)), other)]


async def _audit(me: Tenant, other: Tenant) -> list[Message]:
    request = audit_event_pb2.ListAuditEventsRequest(page_size=500)
    listed = await me.shop.call(me.shop.operations.ListAuditEvents, request)
    for event in listed.events:
        if event.outcome == "NOT_FOUND":  # what this tenant asked for in vain
            event.target = ""
    return [listed]


def by_id(kind: Any) -> Callable[[Tenant], Message]:
    return lambda me: kind(experiment_id=EXPERIMENT)


ops, exp, rec = operations_service_pb2, experiment_service_pb2, recommendation_service_pb2
CASES: dict[str, Case] = {
    "ProductService/ImportProducts": _import_products,
    "SupportService/ImportDocuments": _import_documents,
    "UserEventService/WriteUserEvents": _write_events,
    "UserEventService/WriteUserEventStream": _write_event_stream,
    "OperationsService/Train": _train,
    "OperationsService/GetStatus": _status,
    "ProductService/GetProduct": lambda me, other: one(
        me, me.shop.products.GetProduct, product_service_pb2.GetProductRequest(product_id="p-1")
    ),
    "ProductService/BatchGetProducts": lambda me, other: one(
        me,
        me.shop.products.BatchGetProducts,
        product_service_pb2.BatchGetProductsRequest(product_ids=[f"p-{number}" for number in range(9)]),
    ),
    "ProductService/ListProducts": _list_products,
    "RecommendationService/Recommend": _recommend,
    "RecommendationService/SimilarProducts": lambda me, other: one(
        me, me.shop.recommendations.SimilarProducts, rec.SimilarProductsRequest(product_id="p-1")
    ),
    "RecommendationService/CompareProducts": lambda me, other: one(
        me,
        me.shop.recommendations.CompareProducts,
        rec.CompareProductsRequest(product_id="p-1", other_product_ids=["p-2"]),
    ),
    "SearchService/Search": _search,
    "SupportService/Ask": _ask,
    "SupportService/GetDocument": lambda me, other: one(
        me, me.shop.support.GetDocument, support_service_pb2.GetDocumentRequest(document_id=DOCUMENT)
    ),
    "SupportService/ListDocuments": lambda me, other: one(
        me, me.shop.support.ListDocuments, support_service_pb2.ListDocumentsRequest()
    ),
    "ProfileService/GetUserProfile": _profile,
    "OperationsService/ListReleases": operations("ListReleases", lambda me, other: ops.ListReleasesRequest()),
    "OperationsService/GetRelease": _get_release,
    "OperationsService/PromoteRelease": _promote,
    "OperationsService/RollbackRelease": operations(
        "RollbackRelease", lambda me, other: ops.RollbackReleaseRequest(), foreign=True
    ),
    "OperationsService/StartRollout": _start_rollout,
    "OperationsService/GetRollout": operations("GetRollout", lambda me, other: ops.GetRolloutRequest(), foreign=True),
    "OperationsService/StopRollout": operations(
        "StopRollout", lambda me, other: ops.StopRolloutRequest(), foreign=True
    ),
    "OperationsService/RebuildIndex": _rebuild,
    "OperationsService/CreateApiKey": _create_key,
    "OperationsService/ListApiKeys": operations(
        "ListApiKeys", lambda me, other: api_key_pb2.ListApiKeysRequest(include_ended=True)
    ),
    "OperationsService/RotateApiKey": foreign_key("RotateApiKey"),
    "OperationsService/RevokeApiKey": foreign_key("RevokeApiKey"),
    "ExperimentService/CreateExperiment": experiments(
        "CreateExperiment", lambda me: exp.CreateExperimentRequest(experiment=me.experiment())
    ),
    "ExperimentService/GetExperiment": experiments("GetExperiment", by_id(exp.GetExperimentRequest)),
    "ExperimentService/ListExperiments": experiments("ListExperiments", lambda me: exp.ListExperimentsRequest()),
    "ExperimentService/UpdateExperiment": experiments(
        "UpdateExperiment",
        lambda me: exp.UpdateExperimentRequest(experiment=me.experiment(), update_mask={"paths": ["description"]}),
    ),
    "ExperimentService/StartExperiment": experiments("StartExperiment", by_id(exp.StartExperimentRequest)),
    "ExperimentService/GetExperimentReport": experiments("GetExperimentReport", by_id(exp.GetExperimentReportRequest)),
    "ExperimentService/StopExperiment": experiments("StopExperiment", by_id(exp.StopExperimentRequest)),
    "ExperimentService/DeleteExperiment": experiments("DeleteExperiment", by_id(exp.DeleteExperimentRequest)),
    "ProductService/UpdateProduct": _update_product,
    "ProductService/UpdateOffers": _update_offers,
    "UserEventService/ExportUserData": _export,
    "PrivacyService/ApplyRetention": privacy(
        "ApplyRetention", lambda me, other: privacy_service_pb2.ApplyRetentionRequest(dry_run=True)
    ),
    "PrivacyService/RotateKeys": _rotate_sealing,
    "PrivacyService/GetReceiptKey": privacy(
        "GetReceiptKey", lambda me, other: privacy_service_pb2.GetReceiptKeyRequest()
    ),
    "ProductService/DeleteProduct": _delete_product,
    "SupportService/DeleteDocument": _delete_document,
    "UserEventService/EraseUserData": _erase,
    "PrivacyService/GetErasure": _erasure,
    "OperationsService/ListAuditEvents": _audit,
}
"""By `Service/Method`, in the order in which a shop would do it; a new rpc needs a case."""

SAYS_ITS_WORD = frozenset(
    {
        "ProductService/GetProduct",
        "ProductService/BatchGetProducts",
        "ProductService/ListProducts",
        "ProductService/UpdateProduct",
        "RecommendationService/Recommend",
        "RecommendationService/SimilarProducts",
        "SearchService/Search",
        "SupportService/Ask",
        "SupportService/GetDocument",
        "SupportService/ListDocuments",
        "ProfileService/GetUserProfile",
        "UserEventService/ExportUserData",
        "ExperimentService/GetExperiment",
        "ExperimentService/ListExperiments",
    }
)
"""Rpcs whose answers hold the tenant's word: otherwise their case would prove nothing."""
