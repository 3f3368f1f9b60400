"""The priority class of each method: what it may have at most. Callers may ask for less, never for more."""

from __future__ import annotations

from functools import cache

from shared.context.priority import Priority

_BULK = frozenset({
    "ImportProducts", "ImportDocuments", "WriteUserEventStream",
    "EncodeProducts", "EncodeBehaviourProducts", "UpsertProducts", "UpsertPassages", "DeletePassages",
    "BeginIndex", "ActivateIndex",
})  # fmt: skip
_BACKGROUND_PREFIXES = ("Export", "Train", "Read", "Rebuild", "Watch")
_BACKGROUND_SUFFIXES = ("Report",)
_STANDARD_PREFIXES = (
    "Update", "Delete", "Erase", "List", "Promote", "Rollback", "Start", "Stop", "Count", "Create", "Rotate", "Revoke",
    "Apply",
)  # fmt: skip
_STANDARD_SUFFIXES = ("State", "Status", "Release", "Rollout", "Experiment", "Erasure", "Key")


@cache
def class_of(method: str) -> Priority:
    """The class of ``/package.Service/Method``; a method that no rule names is INTERACTIVE."""
    name = method.rpartition("/")[2]
    if name in _BULK:
        return Priority.BULK
    if name.startswith(_BACKGROUND_PREFIXES) or name.endswith(_BACKGROUND_SUFFIXES):
        return Priority.BACKGROUND
    if name.startswith(_STANDARD_PREFIXES) or name.endswith(_STANDARD_SUFFIXES):
        return Priority.STANDARD
    return Priority.INTERACTIVE
