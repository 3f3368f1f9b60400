"""Health as ``grpc.health.v1``: the process (""), each service by full name, ``dependency:<name>`` and ``liveness``.

A service is NOT_SERVING while a critical dependency is down; ``liveness`` is SERVING as long as the process answers, so
that whoever restarts processes does not do so for a dependency's fault. Dependencies are asked in a loop, each with a
timeout, so that a health call costs nothing and never hangs. ``lives`` and ``ready`` say the same to other threads.
"""

from __future__ import annotations

import asyncio
import time

from grpc_health.v1 import health, health_pb2

from shared.server.parts import Check, ServiceParts
from shared.settings.base import ServiceSettings
from shared.telemetry.logs import logger
from shared.telemetry.metrics import DEPENDENCY_UP

_log = logger("health")
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LIVENESS = "liveness"
HANGS_SECONDS = 20.0
"""A loop that did not come round for so long hangs; beyond the interval and the timeout of the checks."""


class HealthMonitor:
    """Keeps the health servicer true."""

    def __init__(self, parts: ServiceParts, settings: ServiceSettings) -> None:
        self.servicer = health.aio.HealthServicer()
        self._parts = parts
        self._interval = settings.health_interval_seconds
        self._timeout = settings.health_timeout_seconds
        self._up: dict[str, bool] = {}
        self._published: set[str] = set()
        self._draining = False
        self._serving = False
        self._beat = time.monotonic()

    def lives(self) -> bool:
        """Whether the event loop goes round. From any thread."""
        return time.monotonic() - self._beat < HANGS_SECONDS + self._interval + self._timeout

    def ready(self) -> bool:
        """Whether calls are wanted. From any thread."""
        return self._serving and not self._draining

    async def check(self) -> None:
        """Asks every dependency once, all at the same time, and publishes the result."""
        await self._publish(LIVENESS, True)
        checks = self._parts.dependencies
        results = await asyncio.gather(*(self._is_up(name, check) for name, check in checks.items()))
        for name, up in zip(checks, results, strict=True):
            await self._publish(f"dependency:{name}", up)
        serving = self._serving = all(self._up[name] for name in self._parts.critical)
        self._beat = time.monotonic()
        for service in ("", *(servicer.descriptor.full_name for servicer in self._parts.servicers)):
            await self._publish(service, serving)

    async def run(self) -> None:
        """Checks until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.check()

    async def drain(self) -> None:
        """Everything but liveness is NOT_SERVING from now on: a process that drains must not be restarted."""
        self._draining = True
        for name in self._published - {LIVENESS}:
            await self.servicer.set(name, _NOT_SERVING)

    async def _is_up(self, name: str, check: Check) -> bool:
        """Asks one dependency."""
        try:
            async with asyncio.timeout(self._timeout):
                await check()
            up, reason = True, ""
        except Exception as error:  # whatever it raises, it is down
            up, reason = False, str(error) or type(error).__name__
        if self._up.get(name) is not up:
            log = _log.info if up else _log.warning
            log("dependency is up" if up else "dependency is down", dependency=name, reason=reason[:200])
        self._up[name] = up
        DEPENDENCY_UP.labels(name).set(up)
        return up

    async def _publish(self, name: str, up: bool) -> None:
        """Sets one status."""
        self._published.add(name)
        if not self._draining:
            await self.servicer.set(name, _SERVING if up else _NOT_SERVING)
