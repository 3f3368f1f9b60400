"""Rules that tell robots from customers."""

import pytest

from services.profile.domain.event import MINUTE_US, SECOND_US, EventType
from services.profile.domain.robots import Act, RobotRules, Suspicion, broken_rule, merged, suspicions
from tests.fakes.profile.events import NOW_US

RULES = RobotRules(events_per_minute=5, views_per_minute=3, products_without_cart=10, suspect_minutes=1)


def acts(kind: EventType, count: int, step_us: int, *, start: int = NOW_US) -> list[Act]:
    return [Act(start + n * step_us, kind, f"p-{n}") for n in range(count)]


def test_at_the_limit_is_a_customer_above_it_a_robot() -> None:
    assert suspicions(acts(EventType.PRODUCT_VIEW, 3, SECOND_US), RULES) == []
    [span] = suspicions(acts(EventType.PRODUCT_VIEW, 4, SECOND_US), RULES)
    assert span == Suspicion(NOW_US, NOW_US + 3 * SECOND_US + MINUTE_US, "views_per_minute")
    [span] = suspicions(acts(EventType.SEARCH, 6, SECOND_US), RULES)
    assert span.rule == "events_per_minute"


def test_the_order_of_arrival_does_not_matter() -> None:
    views = acts(EventType.PRODUCT_VIEW, 4, SECOND_US)
    assert suspicions(views[::-1], RULES) == suspicions(views, RULES) != []


@pytest.mark.parametrize("kind", [EventType.IMPRESSION, EventType.PURCHASE])
def test_what_is_sent_many_at_once_is_not_counted(kind: EventType) -> None:
    assert suspicions(acts(kind, 100, 0), RULES) == []


def test_seeing_everything_and_wanting_nothing() -> None:
    slow = acts(EventType.PRODUCT_VIEW, 11, 2 * MINUTE_US)
    [span] = suspicions(slow, RULES)
    assert span.rule == "products_without_cart"
    assert suspicions([*slow, Act(NOW_US + MINUTE_US, EventType.ADD_TO_CART, "p-1")], RULES) == []
    same = [Act(act.time_us, act.event_type, "one") for act in slow]
    assert suspicions(same, RULES) == []
    assert suspicions(acts(EventType.PRODUCT_VIEW, 40, 10 * MINUTE_US), RULES) == [], "never so many within the hour"


def test_episodes_stay_apart() -> None:
    first, second = (
        acts(EventType.PRODUCT_VIEW, 4, 0),
        acts(EventType.PRODUCT_VIEW, 4, 0, start=NOW_US + 10 * MINUTE_US),
    )
    spans = suspicions([*first, *second], RULES)
    assert [span.start_us for span in spans] == [NOW_US, NOW_US + 10 * MINUTE_US]
    assert merged([Suspicion(5, 9, "b"), Suspicion(0, 5, "a")]) == [Suspicion(0, 9, "a")]


def test_rules_can_be_turned_off() -> None:
    assert suspicions(acts(EventType.PRODUCT_VIEW, 100, 0), RobotRules(enabled=False)) == []


def test_only_buyers_keep_their_purchases() -> None:
    spans = [Suspicion(0, 10, "rule")]
    assert broken_rule(EventType.PURCHASE, 5, spans, known_buyer=True) == ""
    assert broken_rule(EventType.PURCHASE, 5, spans, known_buyer=False) == "rule"
    assert broken_rule(EventType.CLICK, 10, spans, known_buyer=True) == "rule"
    assert broken_rule(EventType.CLICK, 11, spans, known_buyer=False) == ""
