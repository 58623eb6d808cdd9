"""Queues for tests of your own handlers: no server, no sleeping, and time that goes as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from checkmate_queue.core.model import Millis
from checkmate_queue.manager import QueueManager
from checkmate_queue.runtime.events import JobFailed, JobRetried
from checkmate_queue.runtime.worker import Worker
from checkmate_queue.testing.clock import TravellingClock

_PAUSE = 0.001


class InlineQueues:
    """A manager in memory under a clock that stands still; use it as an async context manager.

    Enqueue as in production, then `await run_until_idle()`: all that is ready has been handled when it
    returns, and what a handler raised is raised to the test. `await advance(seconds)` lets time pass:
    delayed jobs, retries and schedules run in their order, each at its time. `settings` are those of
    `memory://`.
    """

    def __init__(self, **settings: Any) -> None:
        self.clock = TravellingClock()
        self.manager = QueueManager("memory://", clock=self.clock, **settings)
        self.get_queue = self.manager.get_queue
        self._errors: list[BaseException] = []
        self.manager.on(JobRetried, self._note)
        self.manager.on(JobFailed, self._note)

    async def run_until_idle(self, *, raise_errors: bool = True, timeout: float = 10.0) -> None:
        """Run what is ready, and what that enqueues, until nothing is left.

        What handlers raised meanwhile is raised, the first error itself or, of several, as an
        `ExceptionGroup`; with `raise_errors=False` it is not, and retries and failures go their way. A
        handler that takes longer than `timeout` real seconds raises `TimeoutError`.
        """
        self._look()
        async with asyncio.timeout(timeout):
            while not self._quiet():  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE if self._busy() else 0)
        errors, self._errors = self._errors, []
        if raise_errors and errors:
            if len(errors) == 1:
                raise errors[0]
            raise BaseExceptionGroup("handlers raised", errors)

    async def advance(self, span: float | timedelta, *, raise_errors: bool = True) -> None:
        """Let seconds or a `timedelta` pass, stopping at each time at which something is due."""
        seconds = span.total_seconds() if isinstance(span, timedelta) else span
        until = self.clock() + round(seconds * 1000)
        await self.run_until_idle(raise_errors=raise_errors)
        while (due := self._next_due()) is not None and due <= until:
            self.clock.advance(max(0, due - self.clock()) / 1000)
            await self.run_until_idle(raise_errors=raise_errors)
        self.clock.advance((until - self.clock()) / 1000)
        await self.run_until_idle(raise_errors=raise_errors)

    async def __aenter__(self) -> Self:
        await self.manager.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.manager.shutdown(timeout=0)

    def _note(self, event: JobRetried | JobFailed) -> None:
        self._errors.append(event.error or AssertionError(f"{event.job_id} failed: {event!r}"))

    def _workers(self) -> Iterator[Worker]:
        for queue in self.manager.get_queues():
            if queue.worker is not None:
                yield queue.worker

    def _look(self) -> None:
        for worker in self._workers():
            worker.look()

    def _quiet(self) -> bool:
        starting = any(queue.starting for queue in self.manager.get_queues())
        return not starting and all(worker.quiet for worker in self._workers())

    def _busy(self) -> bool:
        return any(worker.busy for worker in self._workers())

    def _next_due(self) -> Millis | None:
        dues = [worker.next_due_at for worker in self._workers()]
        return min((due for due in dues if due is not None), default=None)
