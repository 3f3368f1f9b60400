"""`mercato.gateway.v1.SupportService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from mercato.gateway.v1 import support_service_pb2 as pb
from mercato.gateway.v1 import support_service_pb2_grpc
from mercato.support.v1 import support_service_pb2 as internal_pb2

from services.gateway.ingest import import_documents
from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors

Context = grpc.aio.ServicerContext[Any, Any]

ASK_TIMEOUT_SECONDS = 15.0


class SupportServicer(support_service_pb2_grpc.SupportServiceServicer):
    """Passes calls to the support service."""

    def __init__(self, stubs: Stubs) -> None:
        self._stubs = stubs

    async def Ask(self, request: pb.AskRequest, context: Context) -> AsyncIterator[pb.AskResponse]:
        wanted = internal_pb2.AskRequest(
            question=request.question, max_citations=request.max_citations, language_code=request.language_code
        )
        with remote_errors("support"):
            async for part in self._stubs.support.Ask(wanted, timeout=ASK_TIMEOUT_SECONDS):
                if part.HasField("citation"):
                    yield pb.AskResponse(citation=part.citation)
                elif part.HasField("text"):
                    yield pb.AskResponse(text=part.text)
                else:
                    yield pb.AskResponse(conclusion=part.conclusion)

    async def ImportDocuments(
        self, request_iterator: AsyncIterator[pb.ImportDocumentsRequest], context: Context
    ) -> AsyncIterator[pb.ImportDocumentsResponse]:
        async for response in import_documents(self._stubs, request_iterator):
            yield response

    async def GetDocument(self, request: pb.GetDocumentRequest, context: Context) -> pb.GetDocumentResponse:
        with remote_errors("support"):
            wanted = internal_pb2.GetDocumentRequest(document_id=request.document_id)
            found = await self._stubs.support.GetDocument(wanted)
        return pb.GetDocumentResponse(document=found.document)

    async def ListDocuments(self, request: pb.ListDocumentsRequest, context: Context) -> pb.ListDocumentsResponse:
        wanted = internal_pb2.ListDocumentsRequest(page_size=request.page_size, page_token=request.page_token)
        with remote_errors("support"):
            page = await self._stubs.support.ListDocuments(wanted)
        return pb.ListDocumentsResponse(documents=page.documents, next_page_token=page.next_page_token)

    async def DeleteDocument(self, request: pb.DeleteDocumentRequest, context: Context) -> pb.DeleteDocumentResponse:
        wanted = internal_pb2.DeleteDocumentRequest(
            document_id=request.document_id, allow_missing=request.allow_missing
        )
        with remote_errors("support"):
            await self._stubs.support.DeleteDocument(wanted)
        return pb.DeleteDocumentResponse()
