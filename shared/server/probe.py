"""`python -m shared.server.probe [host:port]`: ends with 0 when the service there answers that it lives, else with 1.

For container engines that know no gRPC probes. Without an address it asks the service that process 1 runs, on the port
of its MERCATO_<SERVICE>_LISTEN.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.server.health import LIVENESS
from shared.settings.base import DEFAULT_PORTS, PREFIX, default_address

TIMEOUT_SECONDS = 4.0
_ANY_HOST = re.compile(r"^(0\.0\.0\.0|\[::\]|)(?=:\d+$)")


class NoService(Exception):
    """Nothing says whom to ask."""


def address_to_ask(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """`host:port` of the service that `command` runs. Raises NoService."""
    service = next((part.removeprefix("services.") for part in command if part.startswith("services.")), "")
    if service not in DEFAULT_PORTS:
        raise NoService(f"process 1 runs no service but {' '.join(command) or 'nothing'}: name an address")
    listen = environment.get(f"{PREFIX}{service.upper()}_LISTEN") or default_address(service)
    return _ANY_HOST.sub("127.0.0.1", listen)


def lives(address: str) -> bool:
    """Whether the process answers; what it depends on does not matter."""
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=LIVENESS)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(arguments: Sequence[str]) -> int:
    """Asks once."""
    try:
        command = Path("/proc/1/cmdline").read_text().split("\0")
        address = arguments[0] if arguments else address_to_ask([part for part in command if part], os.environ)
        if lives(address):
            return 0
        sys.stderr.write(f"{address} is not serving\n")
    except NoService as error:
        sys.stderr.write(f"{error}\n")
    except grpc.RpcError as error:
        sys.stderr.write(f"no answer: {error.code().name}: {error.details()}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
