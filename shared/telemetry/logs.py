"""Structured logs: one JSON object a line on stderr, with request id, tenant and trace id of the current request.

Never log personal data: no user ids, queries, addresses or request bodies.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from shared.context.request import DEFAULT_TENANT, current_request_id, current_tenant
from shared.telemetry.tracing import current_trace_id


def logger(name: str = "") -> FilteringBoundLogger:
    """A logger; ``name`` is added to each line as ``component``. Cheap enough to keep one a module."""
    return cast(FilteringBoundLogger, structlog.get_logger(**({"component": name} if name else {})))


def configure_logs(service: str, *, level: str = "info", log_format: str = "json") -> None:
    """Sets up this process's logs, those of libraries (``logging``) included. Call once, first."""
    number, stream = logging.getLevelNamesMapping()[level.upper()], _Unfailing(sys.stderr)
    chain: list[Processor] = [
        structlog.stdlib.add_log_level if log_format == "console" else structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ServiceName(service),
        _add_request,
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[*chain, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=chain,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )
    handler = logging.StreamHandler(cast(TextIO, stream))
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def _to_json(event: Any, **_: Any) -> str:
    """One line of JSON; what JSON cannot say is written as text."""
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _Unfailing:
    """A stream whose lines may be lost, as on a full disk: no request fails because it cannot be logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    def write(self, text: str) -> int:
        """Writes, and says how many lines were lost before, as soon as that can be said."""
        try:
            self._stream.write(text)
            if self._lost:
                lost, self._lost = self._lost, 0
                self._stream.write(_to_json({"event": "log lines lost", "level": "warning", "lines": lost}) + "\n")
        except OSError:
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        with suppress(OSError):
            self._stream.flush()


class _ServiceName:
    """Adds the service's name to each line."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, wrapped: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        return event


def _add_request(wrapped: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Adds request id, tenant and trace id where there are any and the line does not name its own."""
    request_id, tenant = current_request_id(), current_tenant()
    if request_id:
        event.setdefault("request_id", request_id)
    if trace_id := current_trace_id():
        event.setdefault("trace_id", trace_id)
    if tenant != DEFAULT_TENANT:
        event.setdefault("tenant", tenant)
    return event
