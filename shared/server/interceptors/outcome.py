"""How a call ended, as its client sees it. Read by the access log and the metrics."""

from __future__ import annotations

from typing import Any

import grpc

from shared.server.interceptors.handler import Context

_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def outcome(context: Context, error: BaseException | None) -> str:
    """The name of the status code. ``error`` is what left the handler, if anything did."""
    code: Any = context.code()
    if isinstance(code, int):
        code = _BY_NUMBER.get(code)
    if code is not None and (code is not grpc.StatusCode.OK or error is None):
        return str(code.name)
    if error is None:
        return grpc.StatusCode.OK.name
    if isinstance(error, Exception):
        return grpc.StatusCode.UNKNOWN.name
    remaining = context.time_remaining()
    expired = remaining is not None and remaining <= 0
    return (grpc.StatusCode.DEADLINE_EXCEEDED if expired else grpc.StatusCode.CANCELLED).name
