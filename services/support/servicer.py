"""`mercato.support.v1.SupportService`: contract in, use case, contract out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from mercato.support.v1 import support_service_pb2 as pb
from mercato.support.v1 import support_service_pb2_grpc

from services.support import converters
from services.support.ask import Ask
from services.support.delete_document import DeleteDocument
from services.support.import_documents import ImportDocuments
from services.support.ports import DocumentRepository
from shared.context.request import current_tenant
from shared.pagination.token import decode_token, encode_token, hash_arguments, page_size

Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_CITATIONS, MOST_CITATIONS = 3, 10
DEFAULT_PAGE, LARGEST_PAGE = 50, 500


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the servicer calls."""

    ask: Ask
    import_documents: ImportDocuments
    delete_document: DeleteDocument
    documents: DocumentRepository


class SupportServicer(support_service_pb2_grpc.SupportServiceServicer):
    """Answers calls."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use = use_cases

    async def Ask(self, request: pb.AskRequest, context: Context) -> AsyncIterator[pb.AskResponse]:
        citations = min(request.max_citations or DEFAULT_CITATIONS, MOST_CITATIONS)
        answer = await self._use.ask(current_tenant(), request.question, citations)
        for part in converters.answer_parts(answer):
            yield part

    async def ImportDocuments(self, request: pb.ImportDocumentsRequest, context: Context) -> pb.ImportDocumentsResponse:
        documents, rejected = converters.split_valid(request.documents)
        written = await self._use.import_documents(current_tenant(), documents) if documents else []
        return converters.import_response(written, rejected)

    async def GetDocument(self, request: pb.GetDocumentRequest, context: Context) -> pb.GetDocumentResponse:
        document = await self._use.documents.get(current_tenant(), request.document_id)
        return pb.GetDocumentResponse(document=converters.document_to_proto(document))

    async def ListDocuments(self, request: pb.ListDocumentsRequest, context: Context) -> pb.ListDocumentsResponse:
        size, arguments = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE), hash_arguments(request)
        after = str(decode_token(request.page_token, arguments).get("after", ""))
        found = await self._use.documents.list_after(current_tenant(), after, size + 1)
        token = encode_token({"after": found[size - 1].document_id}, arguments) if len(found) > size else ""
        documents = [converters.document_to_proto(document) for document in found[:size]]
        return pb.ListDocumentsResponse(documents=documents, next_page_token=token)

    async def DeleteDocument(self, request: pb.DeleteDocumentRequest, context: Context) -> pb.DeleteDocumentResponse:
        await self._use.delete_document(current_tenant(), request.document_id, allow_missing=request.allow_missing)
        return pb.DeleteDocumentResponse()

    async def GetSupportState(self, request: pb.GetSupportStateRequest, context: Context) -> pb.GetSupportStateResponse:
        stored, waiting = await self._use.documents.count(current_tenant())
        return pb.GetSupportStateResponse(document_count=stored, unindexed_count=waiting)
