"""Errors as a client reads them."""

from __future__ import annotations

from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

M = TypeVar("M", bound=Message)


def reason_of(error: grpc.RpcError) -> str:
    """The reason of the ErrorInfo that every error must carry."""
    info = _detail(error, error_details_pb2.ErrorInfo)
    assert info is not None, "an error without ErrorInfo"
    return info.reason


def fields_of(error: grpc.RpcError) -> list[str]:
    """Paths of the fields that are wrong; none where the error is not about fields."""
    bad = _detail(error, error_details_pb2.BadRequest)
    return [violation.field for violation in bad.field_violations] if bad is not None else []


def _detail(error: grpc.RpcError, kind: type[M]) -> M | None:
    status = rpc_status.from_call(error)
    assert status is not None, "an error without details"
    for detail in status.details:
        found = kind()
        if detail.Unpack(found):
            return found
    return None
