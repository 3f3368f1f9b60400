"""A channel whose certificate may be replaced: new calls go over a new connection, running ones end on the old.

gRPC's Python channels keep the credentials that they were made with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc

from shared.tls.files import CertificateFiles, Certificates

LOOK_SECONDS = 1.0
"""Pause between two looks at the files."""
GRACE_SECONDS = 3600.0
"""How long calls may go on over a connection that was made with the certificate of before."""
MakeChannel = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


class ReloadingChannel(grpc.aio.Channel):
    """Behaves like the channel that ``make`` returns. Raises CertificateError for files that cannot be used."""

    def __init__(self, files: CertificateFiles, make: MakeChannel) -> None:
        self._files = files
        self._make = make
        self._used = files.current()
        self._channel = make(_credentials(self._used))
        self._looked_at = time.monotonic()
        self._closing: set[asyncio.Task[None]] = set()

    def current(self) -> grpc.aio.Channel:
        """The channel for new calls."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            found = self._files.current()
            if found is not self._used:
                old, self._used, self._channel = self._channel, found, self._make(_credentials(found))
                task = asyncio.ensure_future(old.close(GRACE_SECONDS))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        return self._channel

    async def __aenter__(self) -> ReloadingChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)
        for task in list(self._closing):
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self.current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.current().channel_ready()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "unary_unary", args, kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "unary_stream", args, kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "stream_unary", args, kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "stream_stream", args, kwargs)


class _Method:
    """A method of whichever channel is in use when it is called."""

    def __init__(self, channel: ReloadingChannel, kind: str, args: Any, kwargs: Any) -> None:
        self._channel = channel
        self._kind, self._args, self._kwargs = kind, args, kwargs
        self._of: grpc.aio.Channel | None = None
        self._method: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        channel = self._channel.current()
        if channel is not self._of:
            self._method = getattr(channel, self._kind)(*self._args, **self._kwargs)
            self._of = channel
        return self._method(*args, **kwargs)


def _credentials(found: Certificates) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(found.ca, found.key, found.chain)
