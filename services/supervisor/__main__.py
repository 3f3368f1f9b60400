"""Runs the suite in the foreground, one line for every change."""

import asyncio
import sys

from services.supervisor.domain import SuiteEvent
from services.supervisor.errors import SupervisorError
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite, stop_on_signals


def show(event: SuiteEvent) -> None:
    """One line on standard output."""
    say(f"{event.elapsed:7.1f} s  {event.unit:<10} {event.state:<10} {event.message}".rstrip())


def say(line: str) -> None:
    """Shows a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Until a signal; ``python -m services.supervisor postgres milvus`` runs these only."""
    stop_on_signals()
    async with Suite(SupervisorSettings(), only=sys.argv[1:] or None, on_event=show) as suite:
        await suite.wait_ready()
        suite.take_signals()  # before anybody is told that it is ready
        say("ready")
        await suite.until_stopped()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    except SupervisorError as error:
        sys.exit(f"error: {error}")
