"""How long what is ready to run waits for the event loop: the queue of a process with one thread."""

from __future__ import annotations

import asyncio

from shared.telemetry.metrics import QUEUE_SECONDS

EVERY_SECONDS = 0.25
"""Often enough to meet a pause of the loop that a request would notice."""


async def watch_event_loop() -> None:
    """Measures until cancelled: a sleep that ends late waited for the loop."""
    loop, wait = asyncio.get_running_loop(), QUEUE_SECONDS.labels("event_loop")
    while True:
        due = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        wait.observe(max(0.0, loop.time() - due))
