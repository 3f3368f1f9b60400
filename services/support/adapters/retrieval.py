"""The passage index of the retrieval service, seen as a port."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from mercato.retrieval.v1 import retrieval_service_pb2 as pb
from mercato.retrieval.v1 import retrieval_service_pb2_grpc

from services.support.ports import Encoded, Hit
from shared.client.failures import remote_errors

BATCH = 500


def passage_id(document_id: str, number: int) -> str:
    """Names a passage in the index."""
    return f"{document_id}#{number}"


def passage_number(passage: str) -> int:
    """Reads the number back; document ids may hold `#` themselves."""
    return int(passage.rsplit("#", 1)[1])


class RemotePassageIndex:
    """Writes and searches through `mercato.retrieval.v1`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = retrieval_service_pb2_grpc.RetrievalServiceStub(channel)

    async def write(self, document_id: str, revision: str, texts: Sequence[str], encoded: Encoded) -> None:
        passages = [
            pb.IndexedPassage(
                passage_id=passage_id(document_id, number),
                document_id=document_id,
                revision=revision,
                vector=encoded.vectors[number].astype("<f4").tobytes(),
                text=text,
            )
            for number, text in enumerate(texts)
        ]
        with remote_errors("retrieval"):
            for start in range(0, len(passages), BATCH):
                request = pb.UpsertPassagesRequest(
                    passages=passages[start : start + BATCH],
                    model_release=encoded.model_release,
                    dimension=encoded.vectors.shape[1],
                )
                await self._stub.UpsertPassages(request)
            await self._stub.DeletePassages(pb.DeletePassagesRequest(document_id=document_id, keep_revision=revision))

    async def delete(self, document_id: str) -> None:
        with remote_errors("retrieval"):
            await self._stub.DeletePassages(pb.DeletePassagesRequest(document_id=document_id))

    async def count(self, model_release: str) -> int:
        with remote_errors("retrieval"):
            response = await self._stub.CountPassages(pb.CountPassagesRequest(model_release=model_release))
        return response.passage_count

    async def search(self, question: str, encoded: Encoded, limit: int) -> list[Hit]:
        request = pb.SearchPassagesRequest(
            vector=encoded.vectors[0].astype("<f4").tobytes(),
            model_release=encoded.model_release,
            query=question[:500],
            limit=limit,
        )
        with remote_errors("retrieval"):
            response = await self._stub.SearchPassages(request)
        return [
            Hit(found.document_id, passage_number(found.passage_id), found.revision, found.dense_score)
            for found in response.passages
        ]
