"""Runs the suite in the foreground, one line for every change."""

import asyncio
import signal
import sys

from services.supervisor.domain import SuiteEvent
from services.supervisor.errors import SupervisorError
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite


def show(event: SuiteEvent) -> None:
    """One line on standard output."""
    say(f"{event.elapsed:7.1f} s  {event.unit:<10} {event.state:<10} {event.message}".rstrip())


def say(line: str) -> None:
    """Shows a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Until a signal; ``python -m services.supervisor postgres milvus`` runs these only."""
    task = asyncio.current_task()
    assert task is not None
    # Until run_until_stopped takes the signal over: a stop during the start is an orderly one as well.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with Suite(SupervisorSettings(), only=sys.argv[1:] or None, on_event=show) as suite:
        await suite.wait_ready()
        say("ready")
        await suite.run_until_stopped()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    except SupervisorError as error:
        sys.exit(f"error: {error}")
