"""Quotas, overrides and prices."""

from mercato.gateway.v1 import user_event_service_pb2

from services.gateway.access.scopes import Scope
from services.gateway.limits.quota import Override, Prices, Quota


def test_an_override_changes_what_it_names() -> None:
    quota = Quota(per_second=10.0, burst=20.0, at_once=5)
    assert quota.overridden(None) == quota
    assert quota.overridden(Override(at_once=0)) == Quota(10.0, 20.0, 0)
    assert quota.overridden(Override(per_second=30.0)) == Quota(30.0, 60.0, 5)
    assert quota.overridden(Override(per_second=30.0, burst=5.0)) == Quota(30.0, 5.0, 5)
    assert Quota().overridden(Override(per_second=4.0)) == Quota(4.0, 8.0, 0)


def test_prices_count_the_call_and_its_items() -> None:
    prices = Prices({Scope.ASK: 5.0}, 0.5)
    assert (prices.of_call(Scope.ASK), prices.of_call(Scope.EVENTS)) == (5.0, 1.0)
    assert prices.of_items(user_event_service_pb2.WriteUserEventsRequest(events=[{}, {}, {}])) == 1.5  # type: ignore[list-item]
    assert prices.of_items(object()) == 0.0
