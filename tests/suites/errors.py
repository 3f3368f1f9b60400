"""Errors as a client reads them."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def reason_of(error: grpc.RpcError) -> str:
    """The reason of the ErrorInfo that every error must carry."""
    status = rpc_status.from_call(error)
    assert status is not None, "an error without details"
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details), "an error without ErrorInfo"
    return info.reason
