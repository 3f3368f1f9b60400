"""`mercato.privacy.v1.PersonalDataService` for data sets and what is learnt from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import struct_pb2
from mercato.gateway.v1 import privacy_service_pb2
from mercato.privacy.v1 import personal_data_service_pb2 as pb
from mercato.privacy.v1 import personal_data_service_pb2_grpc as pb_grpc

from services.trainer.learning.interactions import EventKind
from services.trainer.leftovers import PersonRow
from services.trainer.privacy import DataSetPrivacy
from shared.context.request import current_tenant

STORE, PART_ROWS = "trainer", 500


class PersonalDataServicer(pb_grpc.PersonalDataServiceServicer):
    """Data sets hold people under pseudonyms; releases hold nobody."""

    def __init__(self, privacy: DataSetPrivacy) -> None:
        self._privacy = privacy

    async def ErasePerson(self, request: pb.ErasePersonRequest, context: Any) -> pb.ErasePersonResponse:
        erased = await self._privacy.erase(current_tenant(), request.person.person_keys)
        return pb.ErasePersonResponse(
            erased=[pb.ErasedRecords(kind="data_set_rows", row_count=erased.row_count)],
            notes=[release_note(erased.release_ids)] if erased.release_ids else [],
        )

    async def ExportPerson(
        self, request: pb.ExportPersonRequest, context: Any
    ) -> AsyncIterator[pb.ExportPersonResponse]:
        rows = await self._privacy.export(current_tenant(), request.person.person_keys)
        for start in range(0, len(rows), PART_ROWS):
            part = rows[start : start + PART_ROWS]
            yield pb.ExportPersonResponse(records=map(_record, part))

    async def ApplyRetention(self, request: pb.ApplyRetentionRequest, context: Any) -> pb.ApplyRetentionResponse:
        count = await self._privacy.apply_retention(current_tenant(), dry_run=request.dry_run)
        result = privacy_service_pb2.RetentionResult(
            store=STORE, kind="job_remains", days=self._privacy.keep_days, row_count=count
        )
        return pb.ApplyRetentionResponse(results=[result])


def release_note(release_ids: tuple[str, ...]) -> str:
    """What it means that models were learnt before an erasure."""
    return (
        f"releases learnt before: {', '.join(release_ids)}; they hold counts and weights over all people, no rows, "
        "ids or pseudonyms of one; the next training learns without the person, and replaced releases are deleted"
    )


def _record(row: PersonRow) -> pb.PersonalRecord:
    content = struct_pb2.Struct()
    content.update(
        {
            "productId": row.product_id,
            "eventType": EventKind(row.kind).name,
            "time": row.time_s,
            "amountMicros": row.amount_micros,
        }
    )
    return pb.PersonalRecord(kind="data_set_row", content=content)
