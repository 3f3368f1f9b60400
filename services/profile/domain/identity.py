"""Whose an event is: users, visitors, and visitors joined to users on login.

An event that names a user is that user's. An event that names only a visitor is the visitor's current
person's: an anonymous person until the first login, then the user of the latest login (by event time) written so
far. The first login moves the anonymous person's events to the user; later logins into other accounts move
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.profile.domain.event import Event


@dataclass(frozen=True, slots=True)
class Visitor:
    """A visitor as stored. ``join_time_us`` is None until the first login."""

    visitor_no: int
    person_no: int
    join_time_us: int | None = None

    def would_join(self, event: Event, person_no: int | None) -> bool:
        """Whether ``event``, which names the user ``person_no`` (None: a new one), changes whose this visitor is."""
        if self.join_time_us is None:
            return True
        return self.person_no != person_no and event.time_us >= self.join_time_us


@dataclass(slots=True)
class Attribution:
    """Whose the events of a batch are and what changes with them."""

    person_nos: list[int]
    """By position of the event."""
    merges: dict[int, int] = field(default_factory=dict)
    """Anonymous person to the user who takes over all of their events."""
    visitors: dict[str, Visitor] = field(default_factory=dict)
    """New states of visitors that changed."""
    joins: dict[tuple[int, int], int] = field(default_factory=dict)
    """(person, visitor) to the time of the login."""


def attribute(events: Sequence[Event], visitors: Mapping[str, Visitor], users: Mapping[str, int]) -> Attribution:
    """Decides for a batch, in order of event time. ``visitors`` and ``users`` know every id of the batch."""
    result = Attribution(person_nos=[0] * len(events))
    state = dict(visitors)
    anonymous: dict[str, list[int]] = {}
    for position in sorted(range(len(events)), key=lambda index: events[index].time_us):
        event = events[position]
        visitor = state.get(event.visitor_id)
        if not event.user_id:
            assert visitor is not None, "an event names a user or a visitor"
            result.person_nos[position] = visitor.person_no
            if visitor.join_time_us is None:
                anonymous.setdefault(event.visitor_id, []).append(position)
            continue
        person_no = result.person_nos[position] = users[event.user_id]
        if visitor is None:
            continue
        if not visitor.would_join(event, person_no):
            if visitor.person_no != person_no:  # an older login, written late: a device of theirs all the same
                result.joins.setdefault((person_no, visitor.visitor_no), event.time_us)
            continue
        if visitor.join_time_us is None:
            result.merges[visitor.person_no] = person_no
            for earlier in anonymous.pop(event.visitor_id, ()):
                result.person_nos[earlier] = person_no
        state[event.visitor_id] = Visitor(visitor.visitor_no, person_no, event.time_us)
        result.visitors[event.visitor_id] = state[event.visitor_id]
        result.joins.setdefault((person_no, visitor.visitor_no), event.time_us)
    return result
