"""The domain's exceptions. They know nothing of gRPC; ``shared.errors.mapping`` does.

Messages are read by people and must hold no personal data; every value in a message is repeated in
``metadata``, so that programs need not parse the message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.errors.reasons import Reason


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a request: ``field`` is a path such as ``events[3].product_id``."""

    field: str
    description: str
    rule: str = ""


class MercatoError(Exception):
    """Base of all errors that a client may see. ``message`` for people, ``reason`` and ``metadata`` for programs."""

    retry_after_seconds: float | None = None
    violations: tuple[Violation, ...] = ()

    def __init__(self, message: str, *, reason: Reason, metadata: Mapping[str, str] | None = None) -> None:
        Exception.__init__(self, message)  # not super(): errors of calls inherit from gRPC's as well
        self.message = message
        self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})

    def __str__(self) -> str:
        return self.message


class InvalidArgument(MercatoError):
    """The request is wrong whatever the state of the system; lists every violation found."""

    def __init__(
        self,
        violations: Sequence[Violation] = (),
        message: str = "",
        *,
        reason: Reason = Reason.INVALID_REQUEST,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or _summary(violations), reason=reason, metadata=metadata)
        self.violations = tuple(violations)


class NotFound(MercatoError):
    """``NotFound("product", "p-1")``: no such thing. Reason PRODUCT_NOT_FOUND, metadata ``product_id``."""

    def __init__(
        self,
        resource: str,
        name: str,
        *,
        reason: Reason | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            f"{resource} {name!r} not found",
            reason=reason or Reason(f"{resource.upper()}_NOT_FOUND"),
            metadata={_id_key(resource): name, **(metadata or {})},
        )


class AlreadyExists(MercatoError):
    """``AlreadyExists("index", "r3")``: something of that kind and name exists already. Metadata ``index``."""

    def __init__(
        self,
        resource: str,
        name: str,
        *,
        reason: Reason = Reason.ALREADY_EXISTS,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            f"{resource} {name!r} already exists",
            reason=reason,
            metadata={_id_key(resource): name, **(metadata or {})},
        )


class FailedPrecondition(MercatoError):
    """The system is not in the state that the call needs; repeating it without a change is useless."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason = Reason.FAILED_PRECONDITION,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)


class Aborted(MercatoError):
    """Lost against a concurrent or newer change; read again, then decide."""

    def __init__(
        self, message: str, *, reason: Reason = Reason.STALE_UPDATE, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)


class Unauthenticated(MercatoError):
    """The caller did not say who it is, or what it said is not valid."""

    def __init__(
        self,
        message: str = "missing or invalid credentials",
        *,
        reason: Reason = Reason.UNAUTHENTICATED,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)


class PermissionDenied(MercatoError):
    """The caller is known and may not do this."""

    def __init__(
        self,
        message: str = "not allowed",
        *,
        reason: Reason = Reason.PERMISSION_DENIED,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)


class ResourceExhausted(MercatoError):
    """A quota or a limit was reached; ``retry_after_seconds`` says when trying again may help."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        reason: Reason = Reason.RATE_LIMITED,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(MercatoError):
    """A dependency does not answer. Reads may be repeated after ``retry_after_seconds``."""

    def __init__(
        self,
        dependency: str,
        *,
        retry_after_seconds: float | None = 1.0,
        reason: Reason = Reason.DEPENDENCY_UNAVAILABLE,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            f"{dependency} is unavailable",
            reason=reason,
            metadata={"dependency": dependency, **(metadata or {})},
        )
        self.dependency = dependency
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceeded(MercatoError):
    """The time for the call is over; what it did is unknown to the caller."""

    def __init__(
        self,
        message: str = "deadline exceeded",
        *,
        reason: Reason = Reason.DEADLINE_EXCEEDED,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)


class Cancelled(MercatoError):
    """The call was given up before it finished."""

    def __init__(
        self,
        message: str = "cancelled",
        *,
        reason: Reason = Reason.CANCELLED,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)


class Internal(MercatoError):
    """A defect. Clients see "internal error" and the request id; ``message`` goes only to the log."""

    def __init__(
        self,
        message: str = "internal error",
        *,
        reason: Reason = Reason.INTERNAL,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)


def _id_key(resource: str) -> str:
    """The metadata key for the name of a ``resource``, as the contract's comments write it."""
    return "index" if resource == "index" else f"{resource}_id"


def _summary(violations: Sequence[Violation]) -> str:
    """One line for people: the first violation and how many more there are."""
    if not violations:
        return "invalid request"
    first = violations[0]
    head = f"{first.field}: {first.description}" if first.field else first.description
    more = len(violations) - 1
    return head if not more else f"{head} (and {more} more)"
