"""What the use cases need of the outside. All raise ``Unavailable`` or the driver's connection errors when it is down.

``tenant`` is always the first argument; nothing crosses tenants.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from services.profile.domain.erasure import Erasure, Pending, PersonIds, StoreState
from services.profile.domain.event import Event, Outcome
from services.profile.domain.history import History, HistoryLimits, Person


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> int:
        """Microseconds since 1970, UTC."""
        ...


class EventStore(Protocol):
    """Keeps events."""

    async def write(self, tenant: str, events: Sequence[Event]) -> Sequence[Outcome]:
        """Stores valid events with distinct ids, all or none, committed when this returns; one outcome an event.

        An id stored before (quarantine included) is a duplicate, also under concurrency and whatever its time.
        """
        ...

    async def state(self, tenant: str) -> EventState:
        """Exact counts."""
        ...


@dataclass(frozen=True, slots=True)
class EventState:
    """Counts of what is stored."""

    events: int = 0
    quarantined: int = 0
    people: int = 0
    """Those with at least one event that counts."""


class PeopleReader(Protocol):
    """Finds people and reads what they did. Sees every committed event."""

    async def find(self, tenant: str, user_id: str, visitor_id: str) -> Person | None:
        """Whom the ids mean; None when nothing is stored of them.

        With both: the user, and the visitor as well unless the visitor is joined to another user.
        """
        ...

    async def history(self, tenant: str, person: Person, limits: HistoryLimits) -> tuple[Person, History]:
        """What the person did, with the versions that the rows were read at."""
        ...

    async def visitor_ids(self, tenant: str, person: Person) -> Sequence[str]:
        """Browsers and devices ever joined to the person, sorted; an anonymous person's own."""
        ...


class PrivacyStore(Protocol):
    """One person's rights."""

    def export(self, tenant: str, user_id: str, visitor_id: str) -> AsyncGenerator[ExportPart, None]:
        """Everything stored of the person, quarantine included, oldest first. Nothing for an unknown person."""
        ...

    async def erase(self, tenant: str, user_id: str, visitor_id: str, receipt_id: str = "") -> Receipt:
        """Erases the person in one transaction; zero counts for an unknown person.

        Counts of attempts with the same receipt id add up; empty: an id of its own.
        """
        ...


class ErasureRegister(Protocol):
    """Remembers erasures until every store is done."""

    async def resolve(self, tenant: str, user_id: str, visitor_id: str) -> PersonIds:
        """How stores know a person; the ids given where nothing is stored."""
        ...

    async def begin(self, tenant: str, user_id: str, visitor_id: str, stores: Sequence[str]) -> Pending:
        """Registers an erasure and tombstones of the person's ids in one transaction.

        Batches being written are waited for; later ones refuse events from before. One that is not done yet is
        returned instead of a new one.
        """
        ...

    async def claim(self, limit: int, lease_seconds: int) -> Sequence[Pending]:
        """Erasures of all tenants that are not done; nobody else gets them until the lease ends."""
        ...

    async def record(
        self, tenant: str, receipt_id: str, outcome: StoreState, sign: Callable[[Erasure], str]
    ) -> Erasure:
        """Records what a store said. With the last one the person's ids are destroyed and the receipt is signed.

        What comes after that changes nothing. Raises ErasureNotFound.
        """
        ...

    async def get(self, tenant: str, receipt_id: str) -> Erasure:
        """One erasure. Raises ErasureNotFound."""
        ...


class RetentionStore(Protocol):
    """Counts and removes records by age.

    Kinds: events, people (of whom only ids are left), quarantine, receipts, tombstones.
    """

    async def tenants(self) -> Sequence[str]:
        """Everyone with any records."""
        ...

    async def count_older(self, tenant: str, kind: str, days: int) -> int:
        """How many are older than ``days``; of tombstones, how many have expired."""
        ...

    async def remove_older(self, tenant: str, kind: str, days: int, most: int) -> int:
        """Removes at most ``most`` of them in one transaction and returns how many; 0: none is left."""
        ...


class SealingStore(Protocol):
    """Everything that is sealed, of all tenants."""

    async def check(self) -> None:
        """Raises WrongRing when the ring does not open what is stored; the first one ever is taken."""
        ...

    async def seal_ids(self, most: int) -> int:
        """Seals up to ``most`` ids of users and as many of visitors that stand in clear; returns how many."""
        ...

    async def seal_events(self, most: int) -> int:
        """The same for contents of events."""
        ...

    def rotation(self) -> AbstractAsyncContextManager[bool]:
        """Holds the lock of rotations inside the block; False: another process has it."""
        ...

    async def count_older(self) -> int:
        """How much is sealed by older keys."""
        ...

    def reseal(self, most: int) -> AsyncIterator[int]:
        """Seals it by the current one, batch by batch; yields the size of each."""
        ...

    async def last_erasure_s(self) -> int:
        """When the latest erasure was done, seconds since 1970; 0: never."""
        ...


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A part of one person's data."""

    events: Sequence[Event] = ()
    visitor_ids: Sequence[str] = ()
    """In the first part."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of an erasure."""

    receipt_id: str
    erase_time_us: int
    event_count: int
    record_count: int


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to learn from. Empty types: all; None: without that limit."""

    event_types: tuple[int, ...] = ()
    start_us: int | None = None
    end_us: int | None = None
    chunk_rows: int = 10_000
    details: bool = False
    """Whether chunks say what was shown, prices and devices."""


@dataclass(frozen=True, slots=True)
class AttributedRequest:
    """An answer that showed products, as a token tells it."""

    request_key: bytes
    """Pseudonym of the token."""
    release_id: str
    list_kind: str
    time_s: int
    exposures: tuple[tuple[str, str], ...] = ()
    """Experiments and the variants of them that made the answer."""


@dataclass(frozen=True, slots=True)
class EventDetails:
    """Further columns of a chunk, as documented in `ReadEventsResponse`; -1: none."""

    requests: Sequence[AttributedRequest]
    request_indexes: Sequence[int]
    positions: Sequence[int]
    unit_price_micros: Sequence[int]
    currencies: Sequence[str]
    currency_indexes: Sequence[int]
    devices: Sequence[int]


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Rows in columns, one a product of an event; an event's rows are never cut unless it alone exceeds a chunk."""

    total_rows: int
    """Rows of the whole stream, counted at its start."""
    user_keys: Sequence[bytes]
    product_ids: Sequence[str]
    user_indexes: Sequence[int]
    product_indexes: Sequence[int]
    event_types: Sequence[int]
    times_s: Sequence[int]
    quantities: Sequence[int]
    event_numbers: Sequence[int]
    details: EventDetails | None = None
    """None unless asked for."""


class EventStream(Protocol):
    """Reads all events for learning."""

    def read(self, tenant: str, query: EventQuery) -> AsyncGenerator[EventChunk, None]:
        """Chunks by time from one snapshot; people are pseudonyms. One empty chunk when there are no rows."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What the catalogue says of a product."""

    category_path: tuple[str, ...] = ()
    brand: str = ""
    price_micros: int | None = None
    currency: str = ""


class Catalog(Protocol):
    """The catalogue service."""

    async def facts(self, tenant: str, product_ids: Sequence[str]) -> Mapping[str, Facts]:
        """Facts by id (at most 5,000 asked); absent where the catalogue does not know the product."""
        ...


class FactsStore(Protocol):
    """Keeps facts of products seen in events."""

    async def tenants(self) -> Sequence[str]:
        """Tenants with products to ask for."""
        ...

    async def claim(self, tenant: str, most: int) -> Mapping[str, int]:
        """Products due to be asked for, by id with their numbers; nobody else gets them for a minute."""
        ...

    async def release(self, tenant: str, claimed: Mapping[str, int]) -> None:
        """Makes claimed products due again: the catalogue did not answer."""
        ...

    async def save(self, tenant: str, claimed: Mapping[str, int], facts: Mapping[str, Facts]) -> int:
        """Stores the answer and when to ask again; returns how many facts are new or changed."""
        ...
