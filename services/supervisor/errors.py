"""What can go wrong while the suite runs. Every message is one line that a person can act on."""


class SupervisorError(Exception):
    """Base of the supervisor's errors."""


class DataFolderLocked(SupervisorError):
    """Another supervisor holds the data folder."""


class PortTaken(SupervisorError):
    """A configured port is in use."""


class CheckFailed(SupervisorError):
    """A unit did not answer its health check.

    ``definite`` says that waiting will not help (an answer arrived and it was a failure), so that a unit which was
    ready before is restarted at once instead of after several silent checks.
    """

    def __init__(self, message: str, *, definite: bool = False) -> None:
        super().__init__(message)
        self.definite = definite


class PrepareFailed(SupervisorError):
    """A step before the start of a unit failed; it is tried again with the unit."""


class Unrecoverable(SupervisorError):
    """A unit cannot run here until a person changes something; it is not tried again."""


class UnitFailed(SupervisorError):
    """A unit did not become ready; the message names it, the reason and its log."""
