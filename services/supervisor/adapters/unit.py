"""What units have in common."""

import signal
from collections.abc import Callable

from services.supervisor.domain import Command, Health, Need, Timing
from services.supervisor.ports import CommandRunner


class BaseUnit:
    """A unit with a fixed name, address and needs; nothing to prepare and nothing held open."""

    def __init__(self, name: str, address: str, *, needs: tuple[Need, ...] = (), timing: Timing | None = None) -> None:
        self._name = name
        self._address = address
        self._needs = needs
        self._timing = timing or Timing()

    @property
    def name(self) -> str:
        """See ports.Unit, here and below."""
        return self._name

    @property
    def address(self) -> str:
        """``host:port``."""
        return self._address

    @property
    def needs(self) -> tuple[Need, ...]:
        """What comes first."""
        return self._needs

    @property
    def timing(self) -> Timing:
        """When it counts as hung."""
        return self._timing

    @property
    def stop_signal(self) -> int:
        """An orderly end."""
        return signal.SIGTERM

    async def prepare(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        """Nothing to do."""

    def command(self) -> Command:
        """Given by each unit."""
        raise NotImplementedError

    async def check(self, pid: int) -> Health:
        """Given by each unit."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""
