"""Identical texts are encoded once, also when several requests ask for them at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context

from opentelemetry.context import attach

from shared.telemetry.tracing import context_of_trace

Deliver = Callable[[bytes, bytes], None]
"""Hands over one key's vector as soon as it is known."""
Work = Callable[[Mapping[bytes, str], Deliver], Awaitable[None]]
"""Makes the vectors of texts by key."""


class Flights:
    """Work in progress by key. A request joins the work of others and starts work only for what nobody does yet.

    Work goes on as long as anybody waits for it: the caller who began it may leave. When the last one leaves
    (deadline, cancellation), it is cancelled. A failure reaches everyone who waits, and is forgotten: the next
    request tries again.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._jobs: dict[bytes, _Job] = {}

    async def vectors(self, texts: Mapping[bytes, str]) -> dict[bytes, bytes]:
        """The vectors of ``texts``. Raises what the work raises."""
        joined = {key: self._jobs[key] for key in texts if key in self._jobs}
        if new := {key: text for key, text in texts.items() if key not in joined}:
            joined |= dict.fromkeys(new, self._start(new))
        jobs = set(joined.values())
        for job in jobs:
            job.waiters += 1
        try:
            futures = {key: job.futures[key] for key, job in joined.items()}
            await asyncio.wait(futures.values(), return_when=asyncio.FIRST_EXCEPTION)
            failed = next((future for future in futures.values() if future.done() and future.exception()), None)
            if failed:
                failed.result()
            return {key: future.result() for key, future in futures.items()}
        finally:
            for job in jobs:
                self._leave(job)

    def __len__(self) -> int:
        """Keys in work."""
        return len(self._jobs)

    def _start(self, texts: Mapping[bytes, str]) -> "_Job":
        job = _Job(texts)
        self._jobs |= dict.fromkeys(texts, job)
        # an empty context: the deadline of the request that began must not end the work for those who join
        context = Context()
        context.run(attach, context_of_trace())
        job.task = asyncio.create_task(self._run(job, texts), context=context)
        return job

    async def _run(self, job: "_Job", texts: Mapping[bytes, str]) -> None:
        try:
            await self._work(texts, lambda key, vector: self._deliver(job, key, vector))
            job.fail(RuntimeError("the work ended without a vector for every text"))
        except Exception as error:
            job.fail(error)
        finally:
            self._forget(job)

    def _deliver(self, job: "_Job", key: bytes, vector: bytes) -> None:
        if not job.futures[key].done():
            job.futures[key].set_result(vector)

    def _leave(self, job: "_Job") -> None:
        job.waiters -= 1
        if not job.waiters and job.task and not job.task.done():
            self._forget(job)  # before the task notices: nobody may join what is being given up
            job.task.cancel()

    def _forget(self, job: "_Job") -> None:
        for key in job.futures:
            if self._jobs.get(key) is job:
                del self._jobs[key]


class _Job:
    """The texts that one request began."""

    def __init__(self, keys: Mapping[bytes, str]) -> None:
        loop = asyncio.get_running_loop()
        self.futures: dict[bytes, asyncio.Future[bytes]] = {key: loop.create_future() for key in keys}
        self.task: asyncio.Task[None] | None = None
        self.waiters = 0

    def fail(self, error: Exception) -> None:
        """Everyone who still waits gets ``error``."""
        for future in self.futures.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # marks it as seen: perhaps nobody waits for this key any more
