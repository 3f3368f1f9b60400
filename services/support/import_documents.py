"""Stores a batch of documents."""

from __future__ import annotations

from collections.abc import Sequence

from services.support.domain import Document
from services.support.index_documents import IndexWorker
from services.support.ports import DocumentRepository, Written


class ImportDocuments:
    """Writes documents in one transaction and wakes the indexing worker."""

    def __init__(self, repository: DocumentRepository, worker: IndexWorker) -> None:
        self._repository = repository
        self._worker = worker

    async def __call__(self, tenant: str, documents: Sequence[Document]) -> list[Written]:
        """Stores `documents`; of several with one id the last stays, the others count as updated."""
        last = {document.document_id: place for place, document in enumerate(documents)}
        kept = [documents[place] for place in sorted(last.values())]
        written = dict(zip(sorted(last.values()), await self._repository.put(tenant, kept), strict=True))
        self._worker.wake()
        return [written.get(place, Written(updated=True)) for place in range(len(documents))]
