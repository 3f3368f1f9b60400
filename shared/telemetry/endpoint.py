"""The HTTP endpoint of a process: Prometheus metrics, and health for those who cannot ask by gRPC.

Kubernetes' gRPC probes know no certificates; where services speak TLS it asks here. Answered by threads, so that a
hanging event loop can be told from here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app


class _HttpServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: probes come every few seconds."""


@contextmanager
def metrics_endpoint(
    host: str,
    port: int,
    registry: CollectorRegistry = REGISTRY,
    checks: Mapping[str, Callable[[], bool]] | None = None,
) -> Iterator[int]:
    """Serves ``http://host:port/metrics`` from a thread inside the block; port 0 serves nothing.

    ``checks`` are answered at their paths, with 200 or 503, from that thread. Yields the port. Raises OSError when the
    port is taken.
    """
    if port == 0:
        yield 0
        return
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        check = (checks or {}).get(environ["PATH_INFO"])
        if check is None:
            shown: Iterable[bytes] = metrics(environ, start_response)
            return shown
        good = check()
        start_response("200 OK" if good else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"ok\n" if good else b"no\n"]

    server_class = type("_Server", (_HttpServer,), {"address_family": _family(host, port)})
    server: WSGIServer = make_server(host, port, answer, server_class, _Quiet)
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _family(host: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
