"""Rules that tell robots from customers.

Rates are by event time, never by arrival, so that importing a year of history at full speed is no robot.
What looks like a robot is stored in quarantine, not dropped. A purchase of a person who bought before is never
quarantined. Impressions are not counted: pages send many at once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.profile.domain.event import MINUTE_US, EventType

UNCOUNTED = frozenset({EventType.IMPRESSION, EventType.PURCHASE})
_WANTS = frozenset({EventType.ADD_TO_CART, EventType.PURCHASE, EventType.ADD_TO_WISH_LIST})


@dataclass(frozen=True, slots=True)
class RobotRules:
    """Limits above which a person counts as a robot."""

    enabled: bool = True
    events_per_minute: int = 120
    views_per_minute: int = 60
    """Product pages seen within a minute."""
    products_without_cart: int = 300
    """Distinct products seen within the window without anything put into the cart, on the wish list or bought."""
    window_minutes: int = 60
    suspect_minutes: int = 60
    """How long, by event time, a person stays suspect after a rule was last broken."""

    @property
    def window_us(self) -> int:
        """The longest span that a rule looks at."""
        return self.window_minutes * MINUTE_US


@dataclass(frozen=True, slots=True)
class Act:
    """What the rules need of one event."""

    time_us: int
    event_type: int
    product: object = None
    """Its first product, in any form that can be compared."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A span of event time in which a person looks like a robot, both ends included."""

    start_us: int
    end_us: int
    rule: str

    def covers(self, time_us: int) -> bool:
        """Whether an event of that time is under suspicion."""
        return self.start_us <= time_us <= self.end_us


def suspicions(acts: Sequence[Act], rules: RobotRules) -> list[Suspicion]:
    """The spans in which one person's ``acts`` (in any order) break a rule, in order of time."""
    if not rules.enabled:
        return []
    ordered = sorted(acts, key=lambda act: act.time_us)
    counted = [act.time_us for act in ordered if act.event_type not in UNCOUNTED]
    views = [act.time_us for act in ordered if act.event_type == EventType.PRODUCT_VIEW]
    found = [
        *_crowded(counted, rules.events_per_minute, "events_per_minute"),
        *_crowded(views, rules.views_per_minute, "views_per_minute"),
        *_without_cart(ordered, rules),
    ]
    after = rules.suspect_minutes * MINUTE_US
    return merged([Suspicion(span.start_us, span.end_us + after, span.rule) for span in found])


def merged(spans: Iterable[Suspicion]) -> list[Suspicion]:
    """The same spans with those that touch made one."""
    result: list[Suspicion] = []
    for span in sorted(spans, key=lambda span: span.start_us):
        if result and span.start_us <= result[-1].end_us:
            last = result[-1]
            result[-1] = Suspicion(last.start_us, max(last.end_us, span.end_us), last.rule)
        else:
            result.append(span)
    return result


def broken_rule(event_type: int, time_us: int, spans: Sequence[Suspicion], known_buyer: bool) -> str:
    """The rule for which one event goes into quarantine; empty when it does not."""
    if event_type == EventType.PURCHASE and known_buyer:
        return ""
    return next((span.rule for span in spans if span.covers(time_us)), "")


def _crowded(times: Sequence[int], limit: int, rule: str) -> list[Suspicion]:
    """Spans of one minute that hold more than ``limit`` of the sorted ``times``."""
    return [
        Suspicion(times[index - limit], times[index], rule)
        for index in range(limit, len(times))
        if times[index] - times[index - limit] < MINUTE_US
    ]


def _without_cart(ordered: Sequence[Act], rules: RobotRules) -> list[Suspicion]:
    """Spans within the window with too many distinct products seen and none wanted."""
    spans: list[Suspicion] = []
    window: deque[Act] = deque()
    seen: Counter[object] = Counter()
    wants = 0
    for act in ordered:
        window.append(act)
        wants += act.event_type in _WANTS
        if act.event_type == EventType.PRODUCT_VIEW:
            seen[act.product] += 1
        while window[0].time_us < act.time_us - rules.window_us:
            gone = window.popleft()
            wants -= gone.event_type in _WANTS
            if gone.event_type == EventType.PRODUCT_VIEW:
                seen[gone.product] -= 1
                if not seen[gone.product]:
                    del seen[gone.product]
        if not wants and len(seen) > rules.products_without_cart:
            spans.append(Suspicion(window[0].time_us, act.time_us, "products_without_cart"))
    return spans
