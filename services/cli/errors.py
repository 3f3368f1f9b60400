"""What a person reads when a command fails: one line, then what to do or which fields are wrong."""

from __future__ import annotations

import grpc

from shared.errors.mapping import from_rpc_error, is_transport_failure

EXIT_FAILED = 1
EXIT_REJECTED = 2
EXIT_USAGE = 64


class CliError(Exception):
    """A failure that was foreseen; the message is all that is shown."""

    exit_code = EXIT_FAILED


class SomeRejected(CliError):
    """An import that stored everything but some items."""

    exit_code = EXIT_REJECTED


def explain(error: grpc.aio.AioRpcError, address: str) -> str:
    """The failed call in words: reason, message, then one line for each field violation."""
    if is_transport_failure(error) and error.code() is grpc.StatusCode.UNAVAILABLE:
        return (
            f"no gateway answers at {address}\n"
            "  start one with `mercato up`, or name another with --address or MERCATO_ADDRESS"
        )
    known = from_rpc_error(error, "gateway")
    lines = [f"{known.reason.value}: {known.message}"]
    lines += [f"  {item.field or 'request'}: {item.description} ({item.rule})" for item in known.violations]
    if known.reason.value == "UNAUTHENTICATED":
        lines.append("  send a key with --api-key or MERCATO_API_KEY; `mercato key create --direct NAME` makes one")
    return "\n".join(lines)
