"""A person as people see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.profile.domain.affinities import Affinities, affinities
from services.profile.domain.event import DAY_US, SECOND_US
from services.profile.domain.features import Interaction, recent
from services.profile.domain.history import History, Person
from services.profile.domain.purchases import PurchaseSummary, RepeatInterval, purchase_summary, repeat_intervals
from services.profile.domain.sessions import Session, latest_session

_HOUR_US = 3_600 * SECOND_US
_FIRST_DAY_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Shares of events by hour (24) and weekday (7, Monday first), UTC."""

    hours: tuple[float, ...]
    weekdays: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that is shown of one person."""

    person: Person
    visitor_ids: Sequence[str]
    affinities: Affinities
    rhythm: Rhythm
    repeat_intervals: tuple[RepeatInterval, ...]
    recent: tuple[Interaction, ...]
    session: Session | None
    purchases: PurchaseSummary | None


def profile(person: Person, visitor_ids: Sequence[str], history: History, now_us: int) -> Profile:
    """The profile as of ``now_us``."""
    session = latest_session(history)
    return Profile(
        person=person,
        visitor_ids=visitor_ids,
        affinities=affinities(history, now_us),
        rhythm=rhythm(event.time_us for event in history.events),
        repeat_intervals=repeat_intervals(history, now_us),
        recent=recent(history),
        session=session if session is not None and session.running(now_us) else None,
        purchases=purchase_summary(history),
    )


def rhythm(times_us: Iterable[int]) -> Rhythm:
    """Shares of moments by hour and weekday; zeros without any."""
    hours, weekdays = [0] * 24, [0] * 7
    for time_us in times_us:
        hours[time_us % DAY_US // _HOUR_US] += 1
        weekdays[(time_us // DAY_US + _FIRST_DAY_WEEKDAY) % 7] += 1
    total = sum(hours) or 1
    return Rhythm(tuple(count / total for count in hours), tuple(count / total for count in weekdays))
