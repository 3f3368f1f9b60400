"""Support as its clients see it, on real PostgreSQL, with an encoder and an index in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from mercato.gateway.v1 import recommendation_pb2
from mercato.gateway.v1 import support_service_pb2 as public_pb2
from mercato.gateway.v1.support_document_pb2 import SupportDocument
from mercato.support.v1 import support_service_pb2 as pb
from mercato.support.v1 import support_service_pb2_grpc

from services.support.adapters.postgres import PostgresDocuments
from services.support.adapters.quoting import QuotingAnswerer
from services.support.ask import Ask, AskPolicy
from services.support.delete_document import DeleteDocument
from services.support.domain import Calibration
from services.support.import_documents import ImportDocuments
from services.support.index_documents import IndexWorker, WorkerPolicy
from services.support.keep_index import IndexKeeper
from services.support.ports import Systems
from services.support.servicer import SupportServicer, UseCases
from shared.errors.reasons import Reason
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from tests.fakes.support.index import FakeEncoder, FakeIndex
from tests.suites.errors import reason_of

HANDOVER = "Shall I connect you with a person?"
RETURNS = (
    "# Returns\nYou can return products within thirty days. Keep the receipt.\n# Cards\nGift cards are never returned."
)
DELIVERY = "# Delivery\nOrders above forty dollars are delivered without charge."


@dataclass
class Desk:
    stub: support_service_pb2_grpc.SupportServiceStub
    documents: PostgresDocuments
    encoder: FakeEncoder
    index: FakeIndex
    worker: IndexWorker
    keeper: IndexKeeper

    async def store(self, *documents: SupportDocument, tenant: str = "default") -> pb.ImportDocumentsResponse:
        request = pb.ImportDocumentsRequest(documents=documents)
        response: pb.ImportDocumentsResponse = await self.stub.ImportDocuments(
            request, metadata=(("mercato-tenant", tenant),)
        )
        return response

    async def work(self) -> None:
        while await self.worker.work_once():
            pass

    async def ask(
        self, question: str, tenant: str = "default"
    ) -> tuple[list[public_pb2.Citation], str, public_pb2.Conclusion]:
        call = self.stub.Ask(pb.AskRequest(question=question), metadata=(("mercato-tenant", tenant),))
        parts = [part async for part in call]
        kinds = [part.WhichOneof("part") for part in parts]
        assert kinds == sorted(kinds, key=["citation", "text", "conclusion"].index)
        assert kinds.count("conclusion") == 1
        text = "".join(part.text.text for part in parts)
        return [part.citation for part in parts if part.HasField("citation")], text, parts[-1].conclusion

    async def waiting(self) -> int:
        return int((await self.stub.GetSupportState(pb.GetSupportStateRequest())).unindexed_count)


@pytest.fixture
async def desk(postgres_database: str) -> AsyncIterator[Desk]:
    async with open_pool(postgres_database, max_size=8) as pool:
        await migrate(pool, "services.support.migrations")
        documents, encoder, index = PostgresDocuments(pool, 60), FakeEncoder(), FakeIndex()
        systems = Systems(documents, documents, encoder, index)
        worker = IndexWorker(systems, WorkerPolicy(poll_seconds=0.05, lease_seconds=5))
        policy = AskPolicy(Calibration((8.0, 0.0, 0.0), -3.0, 0.5), HANDOVER, passages_searched=5)
        use_cases = UseCases(
            Ask(documents, encoder, index, QuotingAnswerer(encoder), policy),
            ImportDocuments(documents, worker),
            DeleteDocument(documents, worker),
            documents,
        )
        servicer = Servicer(
            pb.DESCRIPTOR.services_by_name["SupportService"],
            support_service_pb2_grpc.add_SupportServiceServicer_to_server,
            SupportServicer(use_cases),
        )
        async with (
            serve_in_process(ServiceParts("support", (servicer,))) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            stub = support_service_pb2_grpc.SupportServiceStub(channel)
            yield Desk(stub, documents, encoder, index, worker, IndexKeeper(systems, worker, 10))


def document(document_id: str, text: str, **fields: str) -> SupportDocument:
    return SupportDocument(document_id=document_id, title=document_id.title(), text=text, **fields)


async def test_import_tells_new_changed_and_unchanged_apart(desk: Desk) -> None:
    first = await desk.store(document("returns", RETURNS), document("delivery", DELIVERY))
    assert (first.created_count, first.updated_count, first.unchanged_count) == (2, 0, 0)
    again = await desk.store(document("returns", RETURNS), document("delivery", DELIVERY + " Always."))
    assert (again.created_count, again.updated_count, again.unchanged_count) == (0, 1, 1)
    moved = await desk.store(document("returns", RETURNS, uri="https://shop.example/returns"))
    assert moved.updated_count == 1


async def test_bad_documents_are_named_and_the_others_kept(desk: Desk) -> None:
    done = await desk.store(document("", "text"), document("empty", "  \n "), document("returns", RETURNS))
    assert done.created_count == 1
    assert [(item.index, item.item_id) for item in done.rejected] == [(0, ""), (1, "empty")]
    assert [item.violations[0].field for item in done.rejected] == ["document_id", "text"]


async def test_two_workers_never_write_a_document_at_once(desk: Desk) -> None:
    await desk.store(document("returns", RETURNS))
    (first,) = await desk.documents.claim(10, 60)
    await desk.store(document("returns", RETURNS + " Always."))
    assert not await desk.documents.claim(10, 60)
    await desk.documents.put_back(first, "no", 600)
    (again,) = await desk.documents.claim(10, 60)
    await desk.documents.finish(first)
    assert await desk.waiting() == 1, "who lost a claim does not end another's"
    await desk.documents.finish(again)
    assert await desk.waiting() == 0


async def test_of_two_documents_with_one_id_the_last_stays(desk: Desk) -> None:
    await desk.store(document("returns", "Old text."), document("returns", "New text."))
    found = await desk.stub.GetDocument(pb.GetDocumentRequest(document_id="returns"))
    assert found.document.text == "New text."


async def test_an_answer_quotes_word_for_word_and_cites(desk: Desk) -> None:
    await desk.store(document("returns", RETURNS), document("delivery", DELIVERY))
    await desk.work()
    citations, text, conclusion = await desk.ask("Can products be returned within thirty days?")
    assert conclusion.outcome == public_pb2.ANSWER_OUTCOME_ANSWERED
    assert "You can return products within thirty days." in text
    assert text.endswith("[1]")
    assert citations[0].document_id == "returns"
    assert list(citations[0].headings) == ["Returns"]
    assert "You can return products within thirty days." in citations[0].passage


async def test_what_the_documents_do_not_say_is_not_answered(desk: Desk) -> None:
    await desk.store(document("returns", RETURNS))
    await desk.work()
    for question in ("Which planets have moons?", "?"):
        citations, text, conclusion = await desk.ask(question)
        assert (citations, text) == ([], "")
        assert conclusion.outcome == public_pb2.ANSWER_OUTCOME_UNANSWERED
        assert conclusion.handover == HANDOVER
        assert conclusion.confidence < conclusion.threshold


async def test_a_deleted_or_changed_text_is_quoted_no_more_even_before_the_index_knows(desk: Desk) -> None:
    await desk.store(document("returns", RETURNS), document("delivery", DELIVERY))
    await desk.work()
    question = "Can products be returned within thirty days?"
    await desk.store(document("returns", "# Returns\nYou can return products within ninety days."))
    assert "thirty" not in (await desk.ask(question))[1]
    await desk.stub.DeleteDocument(pb.DeleteDocumentRequest(document_id="delivery"))
    assert (await desk.ask("Are orders above forty dollars delivered without charge?"))[0] == []
    await desk.work()
    assert "ninety" in (await desk.ask(question))[1]
    assert {key[0] for key in desk.index.passages["m1"]} == {"returns"}


async def test_tenants_do_not_see_each_other(desk: Desk) -> None:
    await desk.store(document("returns", RETURNS))
    await desk.work()
    listed = await desk.stub.ListDocuments(pb.ListDocumentsRequest(), metadata=(("mercato-tenant", "other"),))
    assert not listed.documents
    # The fake index knows no tenants: the repository must not give out another tenant's passage.
    assert (await desk.ask("Can products be returned within thirty days?", tenant="other"))[0] == []


async def test_pages_hold_every_document_once(desk: Desk) -> None:
    await desk.store(*(document(f"d{n:02d}", "Text.") for n in range(7)))
    seen: list[str] = []
    token = ""
    while True:
        page = await desk.stub.ListDocuments(pb.ListDocumentsRequest(page_size=3, page_token=token))
        seen += [one.document_id for one in page.documents]
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"d{n:02d}" for n in range(7)]


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason"),
    [
        (
            "GetDocument",
            pb.GetDocumentRequest(document_id="x"),
            grpc.StatusCode.NOT_FOUND,
            Reason.DOCUMENT_NOT_FOUND,
        ),
        (
            "DeleteDocument",
            pb.DeleteDocumentRequest(document_id="x"),
            grpc.StatusCode.NOT_FOUND,
            Reason.DOCUMENT_NOT_FOUND,
        ),
        (
            "ListDocuments",
            pb.ListDocumentsRequest(page_token="forged"),
            grpc.StatusCode.INVALID_ARGUMENT,
            Reason.INVALID_PAGE_TOKEN,
        ),
        (
            "ListDocuments",
            pb.ListDocumentsRequest(page_size=-1),
            grpc.StatusCode.INVALID_ARGUMENT,
            Reason.INVALID_REQUEST,
        ),
    ],
)
async def test_errors_say_what_is_wrong(
    desk: Desk, method: str, request_: object, code: object, reason: Reason
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(desk.stub, method)(request_)
    assert raised.value.code() == code
    assert reason_of(raised.value) == reason


async def test_a_missing_document_may_be_deleted_when_allowed(desk: Desk) -> None:
    await desk.stub.DeleteDocument(pb.DeleteDocumentRequest(document_id="x", allow_missing=True))


async def test_while_the_encoder_or_the_index_is_down_documents_wait_and_people_answer(desk: Desk) -> None:
    names = {recommendation_pb2.STAGE_ENCODER: "encoder", recommendation_pb2.STAGE_RETRIEVAL: "retrieval"}
    await desk.store(document("returns", RETURNS))
    stages = {desk.encoder: recommendation_pb2.STAGE_ENCODER, desk.index: recommendation_pb2.STAGE_RETRIEVAL}
    for system, stage in stages.items():
        system.down = True
        await desk.worker.work_once()
        assert await desk.waiting() == 1
        citations, text, conclusion = await desk.ask("Can I return it?")
        assert (citations, text, conclusion.handover) == ([], "", HANDOVER)
        assert [(one.stage, one.cause) for one in conclusion.missing_stages] == [(stage, f"{names[stage]} unavailable")]
        system.down = False
        async with asyncio.timeout(20):
            while await desk.waiting():  # the retry is due after a pause
                await desk.work()
                await asyncio.sleep(0.05)
        await desk.store(document("returns", RETURNS + " More."))


async def test_a_lost_index_is_filled_again(desk: Desk) -> None:
    await desk.store(document("returns", RETURNS), document("delivery", DELIVERY))
    await desk.work()
    await desk.keeper.check("default")
    assert await desk.waiting() == 0, "nothing is missing"
    desk.index.passages.clear()
    await desk.keeper.check("default")
    assert await desk.waiting() == 2
    await desk.work()
    assert (await desk.ask("Can products be returned within thirty days?"))[0]


async def test_a_new_model_gets_passages_of_its_own(desk: Desk) -> None:
    await desk.store(document("returns", RETURNS))
    await desk.work()
    desk.encoder.release = "m2"
    await desk.keeper.check("default")
    await desk.work()
    assert await desk.index.count("m2") == await desk.index.count("m1") > 0
    await desk.keeper.check("default")
    assert await desk.waiting() == 0
