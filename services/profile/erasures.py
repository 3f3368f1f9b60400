"""The register of erasures: who was asked to be erased, which stores are done, the signed receipts."""

from __future__ import annotations

from collections.abc import Sequence

from services.profile.domain.erasure import Erasure, Pending, PersonIds, StoreState, statement
from services.profile.ports import ErasureRegister
from shared.privacy.receipt import ReceiptSigner
from shared.telemetry.metrics import counter

FINISHED = counter("profile_erasures_total", "Erasures by what became of them.", ("state",))


class Erasures:
    """Begins, follows and signs erasures."""

    def __init__(self, register: ErasureRegister, signer: ReceiptSigner) -> None:
        self._register = register
        self._signer = signer

    async def begin(self, tenant: str, user_id: str, visitor_id: str, stores: Sequence[str]) -> Pending:
        """Registers one; late events are refused from now on."""
        FINISHED.labels("begun").inc()
        return await self._register.begin(tenant, user_id, visitor_id, stores)

    async def claim(self, limit: int, lease_seconds: int) -> Sequence[Pending]:
        """Work that is left."""
        return await self._register.claim(limit, lease_seconds)

    async def record(self, tenant: str, receipt_id: str, outcome: StoreState) -> Erasure:
        """Takes down what a store said. Raises ErasureNotFound."""

        def sign(erasure: Erasure) -> str:
            FINISHED.labels("done").inc()
            return self._signer.sign(statement(tenant, erasure))

        return await self._register.record(tenant, receipt_id, outcome, sign)

    async def get(self, tenant: str, receipt_id: str) -> Erasure:
        """One erasure. Raises ErasureNotFound."""
        return await self._register.get(tenant, receipt_id)

    async def resolve(self, tenant: str, user_id: str, visitor_id: str) -> PersonIds:
        """How stores know a person."""
        return await self._register.resolve(tenant, user_id, visitor_id)

    @property
    def public_key(self) -> str:
        """What receipts are verified with, as a JSON Web Key."""
        return self._signer.jwk
