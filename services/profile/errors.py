"""Errors of the profile service."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition, NotFound
from shared.errors.reasons import Reason


class UserNotFound(NotFound):
    """No events are known of this user or visitor. The message names no one: messages reach logs."""

    def __init__(self, user_id: str, visitor_id: str) -> None:
        super().__init__("user", user_id or visitor_id, reason=Reason.USER_NOT_FOUND)
        self.message = "nothing is known of this user or visitor"
        self.args = (self.message,)
        self.metadata = {"user_id": user_id} if user_id else {"visitor_id": visitor_id}


class ErasureNotFound(NotFound):
    """No erasure has this id."""

    def __init__(self, receipt_id: str) -> None:
        super().__init__("erasure", receipt_id)


class WrongRing(FailedPrecondition):
    """The ring of keys is not the one that personal data is sealed by."""

    def __init__(self) -> None:
        super().__init__(
            "the keys of personal data do not open what is stored: give all profile processes the same file "
            "(MERCATO_PROFILE_PERSONAL_KEYS), or bring it back from its back-up"
        )


class RotationRunning(FailedPrecondition):
    """Another process rotates the keys now."""

    def __init__(self) -> None:
        super().__init__("keys are being rotated already; wait for the end")


class ConcurrentChange(Exception):
    """What a transaction was based on changed before it was locked; running it again helps. Clients never see it."""
