"""Reads one person's profile."""

from __future__ import annotations

from services.profile.domain.history import History, HistoryLimits, Person
from services.profile.domain.profile import Profile, profile
from services.profile.errors import UserNotFound
from services.profile.ports import Clock, PeopleReader

_LOOKS = 3


class GetProfile:
    """The profile for people, made from committed rows at each call."""

    def __init__(self, people: PeopleReader, limits: HistoryLimits, clock: Clock) -> None:
        self._people = people
        self._limits = limits
        self._clock = clock

    async def __call__(self, tenant: str, user_id: str, visitor_id: str) -> Profile:
        """Raises UserNotFound."""
        found = await read_person(self._people, tenant, (user_id, visitor_id), self._limits)
        if found is None:
            raise UserNotFound(user_id, visitor_id)
        person, history = found
        visitor_ids = await self._people.visitor_ids(tenant, person)
        return profile(person, visitor_ids, history, self._clock())


async def read_person(
    people: PeopleReader, tenant: str, ids: tuple[str, str], limits: HistoryLimits
) -> tuple[Person, History] | None:
    """The person of (user, visitor) and what they did; None for nobody.

    A login between the two reads moves the visitor's events to the user; then it looks again.
    """
    for _ in range(_LOOKS):
        person = await people.find(tenant, *ids)
        if person is None:
            return None
        read, history = await people.history(tenant, person, limits)
        if read.event_count:
            return read, history
    return None
