"""Free TCP ports on the loopback interface."""

import json
import random
import socket
from pathlib import Path

from services.supervisor.adapters.data_folder import read_json, write_atomically
from services.supervisor.errors import PortTaken

LOOPBACK = "127.0.0.1"
# Below the kernel's ephemeral range (32768 and up): an outgoing connection cannot take the port of a unit that is
# just being restarted.
LOWEST, HIGHEST = 20000, 31999


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    bare = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in bare else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bare, port))
        except (OSError, OverflowError):
            return False
    return True


class PortBook:
    """Hands out one port per name, the same as in the last run where it is still free."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = {name: port for name, port in read_json(path).items() if isinstance(port, int)}
        self._given: dict[str, int] = {}

    def configured(self, name: str, port: int, host: str = LOOPBACK) -> int:
        """A port that was asked for. Raises PortTaken."""
        if not is_free(port, host):
            raise PortTaken(f"{name}: cannot listen on port {port} of {host}: it is in use, or not of this machine")
        self._given[name] = port
        return port

    def choose(self, name: str) -> int:
        """A free port. Raises PortTaken when none is found."""
        last = self._last.get(name)
        candidates = [last] if last else []
        candidates += random.SystemRandom().sample(range(LOWEST, HIGHEST), 200)
        taken = set(self._given.values())
        for port in candidates:
            if port not in taken and is_free(port):
                self._given[name] = port
                return port
        raise PortTaken(f"{name}: no free port between {LOWEST} and {HIGHEST}")

    def save(self) -> None:
        """Keeps the choice for the next run."""
        write_atomically(self._path, json.dumps({**self._last, **self._given}, indent=1))
