"""The words of supervision: states of a unit, what it needs, what it is started with, what is reported of it."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class UnitState(StrEnum):
    """Where a unit stands in its life."""

    WAITING = "waiting"
    """For the units it needs."""
    PREPARING = "preparing"
    """Runs what must be done before its process starts."""
    STARTING = "starting"
    """The process runs and has not yet said that it serves."""
    READY = "ready"
    """The last check was answered: serving."""
    DEGRADED = "degraded"
    """Alive, but says that it does not serve, for example because something it depends on is down."""
    BACKOFF = "backoff"
    """The process ended or hung; it will be started again after a pause."""
    FAILED = "failed"
    """It cannot run here; a person has to act."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXTERNAL = "external"
    """Somebody else runs it; only its address is known here."""


PROCESS_RUNS = frozenset({UnitState.STARTING, UnitState.READY, UnitState.DEGRADED})
SATISFIED = frozenset({UnitState.READY, UnitState.EXTERNAL})


class Health(StrEnum):
    """The answer to a health check of a living unit."""

    SERVING = "serving"
    NOT_SERVING = "not serving"


@dataclass(frozen=True)
class Need:
    """A unit that has to come first: until it serves (``ready``), or only until its process was started."""

    unit: str
    ready: bool = True

    def met_by(self, state: UnitState) -> bool:
        """Whether a unit in this state satisfies the need."""
        return state in SATISFIED or (not self.ready and state in PROCESS_RUNS)


@dataclass(frozen=True)
class Owner:
    """The system user that a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """How a process is started. ``owner`` None keeps the supervisor's own user."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    owner: Owner | None = None
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends the process when the supervisor dies."""
    stdin: Path | None = None
    """A file to read from; None reads nothing."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When a unit counts as hung and how it is stopped, in seconds."""

    start_seconds: float = 60.0
    """A process that never answered a check for this long is restarted."""
    check_seconds: float = 2.0
    """Pause between checks of a ready unit."""
    check_timeout_seconds: float = 10.0
    failures: int = 5
    """Unanswered checks in a row after which a unit that answered before is restarted."""
    stop_seconds: float = 15.0
    """Between the stop signal and SIGKILL."""


@dataclass(frozen=True, kw_only=True)
class UnitStatus:
    """What is known of a unit now; the row of ``state.json``."""

    unit: str
    state: UnitState
    address: str
    since: float
    """Seconds since the epoch at which the state began."""
    pid: int | None = None
    restarts: int = 0
    failures: int = 0
    """Ends in a row without having been ready in between."""
    message: str = ""

    @property
    def port(self) -> int | None:
        """The port of the address, None where the address carries none."""
        tail = self.address.rpartition(":")[2].partition("/")[0]
        return int(tail) if tail.isdigit() else None


@dataclass(frozen=True, kw_only=True)
class SuiteEvent:
    """Something worth a line on the screen: a change of state, or progress of a preparation."""

    unit: str
    state: UnitState
    message: str = ""
    log: Path | None = None
    elapsed: float = field(default=0.0)
    """Seconds since the suite began to start."""
