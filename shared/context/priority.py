"""How urgent the request being served is, as a context variable.

The server sets it from the method's class and the caller's wish (``mercato-priority``), clients pass it on, so that
every service sheds the same work first. Outside a request there is none, and the method's class decides alone.
"""

from __future__ import annotations

from contextvars import ContextVar
from enum import IntEnum

PRIORITY_METADATA = "mercato-priority"


class Priority(IntEnum):
    """Most urgent first. A larger number is shed earlier."""

    INTERACTIVE = 0
    """A person waits for it: recommendations, searches, products, answers, events."""
    STANDARD = 1
    """Changes and reads of a back office."""
    BULK = 2
    """Imports, and what keeps indexes fresh."""
    BACKGROUND = 3
    """Reports, exports, trainings, rebuilds."""

    @property
    def label(self) -> str:
        """The name in metadata and metrics."""
        return self.name.lower()


LABELS = {priority.label: priority for priority in Priority}

_priority: ContextVar[Priority | None] = ContextVar("mercato_priority", default=None)


def current_priority() -> Priority | None:
    """Priority of the current request; ``None`` outside one."""
    return _priority.get()


def set_priority(priority: Priority) -> None:
    """Sets the priority for the rest of this task. For server interceptors."""
    _priority.set(priority)
