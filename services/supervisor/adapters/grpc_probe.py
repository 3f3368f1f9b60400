"""Calls one method of a gRPC server to see whether it lives."""

import asyncio
import contextlib

import grpc

from services.supervisor.adapters.certificates import Issued
from services.supervisor.errors import CheckFailed

# A restarted server must be found at once: the default pause between connection attempts grows to two minutes.
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
)


class RefusedCall(CheckFailed):
    """The server was reached and answered with an error status: it lives."""


class GrpcProbe:
    """Raw unary calls over one channel, opened by the first call.

    Uses the threaded client: grpc.aio serves one event loop per process well, and a supervisor may run in a second.
    """

    def __init__(self, address: str, issued: Issued | None = None, name: str = "") -> None:
        """With ``issued`` over TLS: the server's certificate must carry ``name``."""
        self._address = address
        self._issued = issued
        self._name = name
        self._channel: grpc.Channel | None = None

    async def call(self, method: str, request: bytes) -> bytes:
        """The answer's bytes.

        Raises RefusedCall when the server answered with an error, CheckFailed when it could not be reached.
        """
        if self._channel is None:
            self._channel = self._connect()
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        def finish(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has ended while the call was under way.
                loop.call_soon_threadsafe(finished.set)

        multicallable: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        call = multicallable.future(request)
        call.add_done_callback(finish)
        try:
            await finished.wait()
        except asyncio.CancelledError:
            call.cancel()
            raise
        if call.code() is grpc.StatusCode.OK:
            return bytes(call.result())
        unreachable = call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        if unreachable and self._issued:
            await self.close()  # the certificate may have been renewed since the channel was made
        raise (CheckFailed if unreachable else RefusedCall)(f"{call.code().name}: {call.details()}")

    def _connect(self) -> grpc.Channel:
        if self._issued is None:
            return grpc.insecure_channel(self._address, options=OPTIONS)
        files = (self._issued.ca, self._issued.key, self._issued.certificate)
        credentials = grpc.ssl_channel_credentials(*(path.read_bytes() for path in files))
        return grpc.secure_channel(
            self._address, credentials, options=(*OPTIONS, ("grpc.ssl_target_name_override", self._name))
        )

    async def close(self) -> None:
        """Closes the channel; a later call opens a new one."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
