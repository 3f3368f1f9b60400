"""Keeps account of written events: what was acknowledged must be in the database, once.

The database holds no ids that could be read, so each event has a microsecond of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from mercato.gateway.v1 import user_event_pb2, user_event_service_pb2

from services.cli.client import Gateway

VISITORS = 2000
"""So many that none looks like a robot."""
WRITE_SECONDS = 5.0
_COUNT = """
SELECT (extract(epoch FROM event_time) * 1000000)::bigint, count(*) FROM (
    SELECT event_time FROM profile.events WHERE tenant_id = %(tenant)s AND event_time >= %(start)s
    UNION ALL
    SELECT event_time FROM profile.quarantine WHERE tenant_id = %(tenant)s AND event_time >= %(start)s
) AS found GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the events."""

    sent: int
    acknowledged: int
    stored: int
    lost: int
    """Acknowledged and not stored."""
    doubled: int
    """Stored more than once."""


class EventLedger:
    """Writes one event a call, each with an id of its own."""

    def __init__(self, tenant: str = "default") -> None:
        self.prefix = f"load-{time.time_ns()}-"
        self._tenant = tenant
        self._start_us = self._last_us = time.time_ns() // 1000
        self._sent: set[int] = set()
        self._acknowledged: set[int] = set()

    def visitor(self, number: int) -> str:
        """The visitor of event ``number``."""
        return f"{self.prefix}visitor-{number % VISITORS}"

    def visitors(self) -> list[str]:
        """All who wrote."""
        return [self.visitor(number) for number in range(min(len(self._sent), VISITORS))]

    async def write(self, gateway: Gateway, product_id: str) -> object:
        """Writes an event and notes whether it was acknowledged. Raises what the call raises."""
        number = len(self._sent)
        self._last_us = max(time.time_ns() // 1000, self._last_us + 1)
        moment_us = self._last_us
        self._sent.add(moment_us)
        event = user_event_pb2.UserEvent(
            event_id=f"{self.prefix}{number}",
            event_type=user_event_pb2.USER_EVENT_TYPE_PRODUCT_VIEW,
            visitor_id=self.visitor(number),
        )
        event.event_time.FromMicroseconds(moment_us)
        event.products.add(product_id=product_id)
        request = user_event_service_pb2.WriteUserEventsRequest(events=[event])
        response = await gateway.call(gateway.events.WriteUserEvents, request, WRITE_SECONDS)
        if response.accepted_count + response.duplicate_count == 1:
            self._acknowledged.add(moment_us)
        return response

    def settle(self, dsn: str) -> Account:
        """Compares with the database."""
        start = datetime.fromtimestamp(self._start_us / 1e6, UTC)
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(_COUNT, {"tenant": self._tenant, "start": start}).fetchall()
        stored = {int(row[0]): int(row[1]) for row in rows if int(row[0]) in self._sent}
        return Account(
            sent=len(self._sent),
            acknowledged=len(self._acknowledged),
            stored=len(stored),
            lost=len(self._acknowledged - stored.keys()),
            doubled=sum(count > 1 for count in stored.values()),
        )
