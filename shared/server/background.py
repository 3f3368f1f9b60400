"""Background tasks beside the calls: restarted with back-off when they fail, cancelled at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from shared.context.waiting import end
from shared.server.parts import Background
from shared.telemetry.logs import logger
from shared.telemetry.metrics import BACKGROUND_RESTARTS

_log = logger("background")
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0
"""A task that ran this long before it failed starts again with the first pause."""


@asynccontextmanager
async def running(tasks: Mapping[str, Background]) -> AsyncIterator[None]:
    """Runs ``tasks`` inside the block."""
    started = [asyncio.create_task(_keep_running(name, task), name=name) for name, task in tasks.items()]
    try:
        yield
    finally:
        await end(started)


async def _keep_running(name: str, task: Background) -> None:
    """Runs ``task`` until it returns or is cancelled."""
    loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE_SECONDS
    while True:
        began = loop.time()
        try:
            await task()
            _log.info("background task finished", task=name)
            return
        except Exception as error:  # a worker must not die of one bad item
            if loop.time() - began > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            _log.error("background task failed", task=name, restart_in_seconds=pause, exc_info=error)
            BACKGROUND_RESTARTS.labels(name).inc()
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
