"""Sends batches in one stream, a few ahead of their acknowledgements; a lost stream is opened again and goes on.

What the gateway acknowledged is stored and is never sent again; what it did not acknowledge is kept here and sent first
on the next stream. Nothing is lost, and what was stored without the acknowledgement arriving is recognised by its id.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from mercato_client import streams

from services.cli.client import Gateway
from services.cli.errors import CliError
from services.cli.importing.items import Batch, Kind
from services.cli.importing.rejects import RejectsFile, from_gateway
from shared.errors.mapping import from_rpc_error, is_transport_failure
from shared.errors.reasons import Reason

WINDOW = 6
PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
_PASSING = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})


@dataclass(slots=True)
class Tally:
    """How far the import is."""

    sent: int = 0
    """Items of batches that were sent at least once."""
    answered: int = 0
    """Items of acknowledged batches."""
    rejected: int = 0
    """Of these, refused by the gateway."""
    reconnects: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """The acknowledgements' own counts, such as ``created_count``."""


class ImportStream:
    """One import of one kind. ``on_change`` is called after each acknowledgement and each lost stream."""

    def __init__(
        self,
        gateway: Gateway,
        kind: Kind,
        rejects: RejectsFile,
        on_change: Callable[[Tally, str], None] = lambda tally, note: None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._gateway = gateway
        self._kind = kind
        self._rejects = rejects
        self._on_change = on_change
        self._patience = patience_seconds
        self._unacknowledged: deque[Batch] = deque()
        self._progress = time.monotonic()
        self._pause = FIRST_PAUSE_SECONDS
        self._failure: CliError | None = None
        self.tally = Tally()

    async def run(self, batches: Iterator[Batch]) -> Tally:
        """Returns when everything is acknowledged.

        Raises CliError when the gateway stays away longer than the patience or a file is damaged, and
        ``grpc.aio.AioRpcError`` when the gateway refuses the import. What was acknowledged before stays stored.
        """
        self._progress = time.monotonic()
        while True:
            try:
                await self._one_stream(batches)
                break
            except grpc.aio.AioRpcError as error:
                await self._wait_after(error)
        if self._failure is not None:
            raise self._failure
        return self.tally

    async def _one_stream(self, batches: Iterator[Batch]) -> None:
        call = self._gateway.open_stream(self._kind.method(self._gateway))
        try:
            acknowledgements = _Acknowledgements(self._unacknowledged)
            for pending in self._unacknowledged:
                await streams.write(call, self._kind.request(pending.items))
            while batch := await self._next_if_room(batches):
                self._unacknowledged.append(batch)
                self.tally.sent += len(batch)
                await streams.write(call, self._kind.request(batch.items))
                if len(self._unacknowledged) >= WINDOW:
                    self._take(acknowledgements, await streams.read(call))
            while self._unacknowledged:
                self._take(acknowledgements, await streams.read(call))
            await call.done_writing()
        finally:
            call.cancel()

    async def _next_if_room(self, batches: Iterator[Batch]) -> Batch | None:
        """The next batch, read beside the event loop; None at the end, also at that of a damaged file."""
        if self._failure is not None:
            return None
        try:
            return await asyncio.to_thread(next, batches, None)
        except CliError as error:
            self._failure = error
            return None

    def _take(self, acknowledgements: _Acknowledgements, response: Any) -> None:
        """Books one acknowledgement."""
        batch, first = acknowledgements.next(response)
        for error in response.rejected:
            self._rejects.add(from_gateway(error, *batch.origins[error.index - first]))
        self.tally.answered += len(batch)
        self.tally.rejected += len(response.rejected)
        self.tally.counts.update({name: getattr(response, name) for name in self._kind.counts})
        self._progress, self._pause = time.monotonic(), FIRST_PAUSE_SECONDS
        self._on_change(self.tally, "")

    async def _wait_after(self, error: grpc.aio.AioRpcError) -> None:
        """A pause, longer each time; raises when waiting is useless or was too long."""
        if not _passing(error):
            raise error
        away = time.monotonic() - self._progress
        if away > self._patience:
            stored = self.tally.answered - self.tally.rejected
            raise CliError(
                f"the gateway at {self._gateway.address} made no progress for {away:.0f} s ({error.details()}); "
                f"{stored} {self._kind.name} are stored, run the same command again to go on"
            ) from error
        self.tally.reconnects += 1
        self._on_change(self.tally, f"connection lost, trying again ({away:.0f} s)")
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)


class _Acknowledgements:
    """Matches the responses of one stream with the batches that were sent on it, oldest first."""

    def __init__(self, unacknowledged: deque[Batch]) -> None:
        self._unacknowledged = unacknowledged
        self._batches = 0
        self._items = 0

    def next(self, response: Any) -> tuple[Batch, int]:
        """The batch acknowledged, and the position of its first item in this stream."""
        if response.HasField("summary") or response.batch_index != self._batches or not self._unacknowledged:
            raise CliError(f"the gateway acknowledged batch {response.batch_index} where {self._batches} was expected")
        batch = self._unacknowledged.popleft()
        first = self._items
        self._batches += 1
        self._items += len(batch)
        return batch, first


def _passing(error: grpc.aio.AioRpcError) -> bool:
    """Whether the same may succeed later."""
    if error.code() in _PASSING or is_transport_failure(error):
        return True
    return from_rpc_error(error).reason in (Reason.OVERLOADED, Reason.RATE_LIMITED)
