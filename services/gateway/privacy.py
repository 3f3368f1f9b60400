"""One person's rights in every store: erasing with a signed receipt, exporting, and limits of age.

An erasure is registered first; then every store is asked, and asked again in the background until all are done, also
when this process ends meanwhile. Nothing is ever said to be done before its store said so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from mercato.gateway.v1 import privacy_service_pb2, user_event_service_pb2
from mercato.privacy.v1 import erasure_register_service_pb2 as register_pb
from mercato.privacy.v1 import personal_data_service_pb2 as pb
from mercato.privacy.v1 import personal_keys_service_pb2
from mercato.privacy.v1.erasure_register_service_pb2_grpc import ErasureRegisterServiceStub
from mercato.privacy.v1.personal_data_service_pb2_grpc import PersonalDataServiceStub
from mercato.privacy.v1.personal_keys_service_pb2_grpc import PersonalKeysServiceStub
from mercato.profile.v1 import profile_service_pb2

from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors
from shared.context.request import current_tenant, remaining_seconds, use_tenant
from shared.errors.base import MercatoError, NotFound
from shared.errors.reasons import Reason
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter, gauge

_log = logger("privacy")
STORES, OWN = ("profile", "trainer"), "gateway"
"""Services with stores of personal data, and this one. What each keeps, and why others keep none: docs/privacy.md."""
OWN_NOTE = (
    "other gateway processes forget what they remember of the person in a quarter of an hour unless set otherwise; "
    "answers kept for idempotency keys are deleted after a day and hold no ids but those of refused events"
)
STORE_SECONDS, REGISTER_SECONDS, EXPORT_SECONDS = 60.0, 10.0, 300.0
STORE_SHARE = 0.6
"""Of what a request has left."""
LEASE_SECONDS, CLAIM = 120, 20
AGAIN_SECONDS = 5.0
ATTEMPTS = counter("gateway_erasure_attempts_total", "Attempts to erase in a store.", ("store", "outcome"))
PENDING = gauge("gateway_erasures_pending", "Erasures that this process found unfinished at its last look.")

Erasure = privacy_service_pb2.Erasure
DONE = privacy_service_pb2.ERASURE_STATE_DONE


class Privacy:
    """The use cases over the register and the stores."""

    def __init__(
        self, stubs: Stubs, forget: Callable[[str, str, str], None], again_seconds: float = AGAIN_SECONDS
    ) -> None:
        """`forget` drops what this process remembers of a tenant's user or visitor."""
        self._forget = forget
        self._profile = stubs.profile
        self._register = ErasureRegisterServiceStub(stubs.channels["profile"])
        self._keys = PersonalKeysServiceStub(stubs.channels["profile"])
        self._stores: Mapping[str, PersonalDataServiceStub] = {
            name: PersonalDataServiceStub(stubs.channels[name]) for name in STORES
        }
        self._again = again_seconds

    async def erase(self, user_id: str, visitor_id: str) -> Erasure:
        """Erases in all stores at once and says how far it came. Raises Unavailable when nothing was registered."""
        wanted = register_pb.BeginErasureRequest(user_id=user_id, visitor_id=visitor_id, stores=(*STORES, OWN))
        with remote_errors("profile"):
            begun = await self._register.BeginErasure(wanted, timeout=REGISTER_SECONDS)
        return await self._work(begun.pending)

    async def export(
        self, user_id: str, visitor_id: str
    ) -> AsyncIterator[user_event_service_pb2.ExportUserDataResponse]:
        """Everything in all stores, in parts. Raises NotFound, and Unavailable when a store does not answer."""
        with remote_errors("profile"):
            resolved = await self._register.ResolvePerson(
                register_pb.ResolvePersonRequest(user_id=user_id, visitor_id=visitor_id), timeout=REGISTER_SECONDS
            )
        found = False
        events = profile_service_pb2.ExportUserDataRequest(user_id=user_id, visitor_id=visitor_id)
        missing: NotFound | None = None
        try:
            with remote_errors("profile"):
                async for part in self._profile.ExportUserData(events, timeout=EXPORT_SECONDS):
                    found = True
                    yield user_event_service_pb2.ExportUserDataResponse(
                        events=part.events, visitor_ids=part.visitor_ids
                    )
        except NotFound as error:
            if not resolved.person.person_keys:  # nobody, so no other store can know them
                raise
            missing = error
        for name, store in self._stores.items():
            request = pb.ExportPersonRequest(person=resolved.person)
            with remote_errors(name):
                async for records in store.ExportPerson(request, timeout=EXPORT_SECONDS):
                    found = True
                    yield _exported(name, records)
        if not found and missing is not None:
            raise missing

    async def get(self, receipt_id: str) -> Erasure:
        """One erasure. Raises NotFound, Unavailable."""
        with remote_errors("profile"):
            found = await self._register.GetErasure(register_pb.GetErasureRequest(receipt_id=receipt_id))
        return found.erasure

    async def receipt_key(self) -> str:
        """The public key of receipts, as a JSON Web Key. Raises Unavailable."""
        with remote_errors("profile"):
            return (await self._register.GetReceiptKey(register_pb.GetReceiptKeyRequest())).jwk

    async def apply_retention(self, *, dry_run: bool) -> privacy_service_pb2.ApplyRetentionResponse:
        """Applies, or counts, all stores' rules for the current tenant."""
        answer = privacy_service_pb2.ApplyRetentionResponse()
        for name, store in self._stores.items():
            try:
                with remote_errors(name):
                    found = await store.ApplyRetention(
                        pb.ApplyRetentionRequest(dry_run=dry_run), timeout=EXPORT_SECONDS
                    )
                answer.results.extend(found.results)
            except MercatoError as error:
                _log.warning("retention is put off", store=name, reason=error.reason.value)
                answer.unreachable_stores.append(name)
        return answer

    async def rotate_keys(self) -> AsyncIterator[privacy_service_pb2.RotateKeysResponse]:
        """Passes a rotation's progress on. Raises FailedPrecondition, Unavailable."""
        with remote_errors("profile"):
            async for step in self._keys.RotateKeys(personal_keys_service_pb2.RotateKeysRequest()):
                yield privacy_service_pb2.RotateKeysResponse(step=step.step, done=step.done, total=step.total)

    async def run(self) -> None:
        """Goes on with erasures that are not done, whoever began them, until cancelled."""
        while True:
            try:
                await self._resume()
            except MercatoError as error:
                _log.debug("the register does not answer", reason=error.reason.value)
            await asyncio.sleep(self._again)

    async def _resume(self) -> None:
        wanted = register_pb.ClaimErasuresRequest(limit=CLAIM, lease_seconds=LEASE_SECONDS)
        with remote_errors("profile"):
            claimed = await self._register.ClaimErasures(wanted, timeout=REGISTER_SECONDS)
        PENDING.set(len(claimed.pending))
        for pending in claimed.pending:
            with use_tenant(pending.tenant):
                erasure = await self._work(pending)
            _log.info("erasure resumed", receipt=erasure.receipt_id, done=erasure.state == DONE, tenant=pending.tenant)

    async def _work(self, pending: register_pb.PendingErasure) -> Erasure:
        """Asks every store that is not done. Raises Unavailable when the register does not take down what they said."""
        names = [one.store for one in pending.erasure.stores if one.state != DONE]
        records = await asyncio.gather(*(self._erase_in(name, pending) for name in names))
        erasure = pending.erasure
        for record in records:  # one by one: the last one signs
            with remote_errors("profile"):
                erasure = (await self._register.RecordStore(record, timeout=REGISTER_SECONDS)).erasure
        return erasure

    async def _erase_in(self, name: str, pending: register_pb.PendingErasure) -> register_pb.RecordStoreRequest:
        receipt_id = pending.erasure.receipt_id
        if name == OWN:
            for visitor_id in ("", *pending.person.visitor_ids):
                self._forget(current_tenant(), pending.person.user_id, visitor_id)
            done = pb.ErasePersonResponse(notes=[OWN_NOTE])
            return register_pb.RecordStoreRequest(receipt_id=receipt_id, store=name, done=done)
        request = pb.ErasePersonRequest(receipt_id=receipt_id, person=pending.person)
        try:
            with remote_errors(name):
                done = await self._stores[name].ErasePerson(request, timeout=_store_seconds())
        except MercatoError as error:
            ATTEMPTS.labels(name, "failed").inc()
            _log.warning("a store is not erased yet", store=name, reason=error.reason.value, receipt=receipt_id)
            return register_pb.RecordStoreRequest(receipt_id=receipt_id, store=name, failure=_cause(error))
        ATTEMPTS.labels(name, "done").inc()
        return register_pb.RecordStoreRequest(receipt_id=receipt_id, store=name, done=done)


def _store_seconds() -> float:
    """Time for a store, so that some is left to record what became of it."""
    left = remaining_seconds()
    return STORE_SECONDS if left is None else min(STORE_SECONDS, left * STORE_SHARE)


def _cause(error: MercatoError) -> str:
    """Why a store is not done, for people; messages of our own errors name no one."""
    busy = error.reason is Reason.FAILED_PRECONDITION
    return error.message if busy else error.reason.value


def _exported(store: str, part: pb.ExportPersonResponse) -> user_event_service_pb2.ExportUserDataResponse:
    return user_event_service_pb2.ExportUserDataResponse(
        records=[
            user_event_service_pb2.ExportedRecord(store=store, kind=one.kind, content=one.content)
            for one in part.records
        ]
    )
