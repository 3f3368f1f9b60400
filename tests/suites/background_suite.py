"""Embedded backing systems for tests that have event loops of their own."""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from services.supervisor.domain import UnitStatus
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite

T = TypeVar("T")


class BackgroundSuite:
    """A Suite in a thread; the thread lives until ``close``, because its processes end with it."""

    def __init__(self, settings: SupervisorSettings, only: Collection[str] | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="suite", daemon=True)
        self._thread.start()
        try:
            self.suite: Suite = self.call(self._open(settings, only), settings.ready_seconds + 60)
        except BaseException:
            self._end_thread()
            raise

    def __enter__(self) -> "BackgroundSuite":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, work: Coroutine[Any, Any, T], seconds: float = 120) -> T:
        """Runs a coroutine in the suite's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(seconds)

    def until(self, condition: Callable[[Suite], bool], seconds: float = 60) -> None:
        """Waits in the suite's loop until the condition holds after some change of a unit."""
        self.call(asyncio.wait_for(self.suite.until(lambda: condition(self.suite)), seconds), seconds + 5)

    def restarted(self, unit: str, before: UnitStatus, seconds: float = 60) -> UnitStatus:
        """The status once the unit serves again with another process than ``before``."""
        self.until(lambda suite: suite.unit(unit).state == "ready" and suite.unit(unit).pid != before.pid, seconds)
        return self.suite.unit(unit)

    def close(self) -> None:
        """Stops everything."""
        self.call(self.suite.__aexit__(None, None, None))
        self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @staticmethod
    async def _open(settings: SupervisorSettings, only: Collection[str] | None) -> Suite:
        suite = await Suite(settings, only=only).__aenter__()
        try:
            await suite.wait_ready()
        except BaseException:
            await suite.__aexit__(None, None, None)
            raise
        return suite


def embedded(data: Path, **changes: Any) -> SupervisorSettings:
    """Settings that ignore backing systems named in the environment of the test run."""
    values: dict[str, Any] = {
        "data": data,
        "gateway_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "postgres_dsn": None,
        "triton_address": None,
        "milvus_uri": None,
        "metrics": False,
        "ready_seconds": 240,
    }
    return SupervisorSettings(**{**values, **changes})
