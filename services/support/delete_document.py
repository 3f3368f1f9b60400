"""Deletes one document."""

from __future__ import annotations

from services.support.errors import DocumentNotFound
from services.support.index_documents import IndexWorker
from services.support.ports import DocumentRepository


class DeleteDocument:
    """Deletes; from then on the document is cited no more, since citations are read from the repository."""

    def __init__(self, repository: DocumentRepository, worker: IndexWorker) -> None:
        self._repository = repository
        self._worker = worker

    async def __call__(self, tenant: str, document_id: str, *, allow_missing: bool) -> None:
        """Deletes the document. Raises DocumentNotFound unless `allow_missing`, Unavailable."""
        deleted = await self._repository.delete(tenant, document_id)
        if not deleted and not allow_missing:
            raise DocumentNotFound(document_id)
        self._worker.wake()
