"""Queues for tests of your own handlers: no server, no sleeping, and time that goes as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from checkmate_queue.core.errors import QueueError
from checkmate_queue.core.model import Millis
from checkmate_queue.core.retry import Retry
from checkmate_queue.manager import QueueManager
from checkmate_queue.manager.rehearsal import rehearsal
from checkmate_queue.runtime.events import JobFailed, JobRetried
from checkmate_queue.runtime.worker import Worker
from checkmate_queue.testing.clock import TravellingClock

_PAUSE = 0.001


class InlineQueues:
    """Queues in memory under a clock that stands still; use it as an async context manager.

    Without a manager it makes one of its own, `manager`. With your application's, which must not have been
    started, that one runs in memory for the block: what its URL names is not touched, its lifespan and the
    consumers that were declared start, and afterwards it is as if it had never been started. `settings` are
    those of `memory://`.

    Enqueue as in production, then `await run_until_idle()`: all that is ready has been handled when it
    returns. `await advance(seconds)` lets time pass: delayed jobs, retries and schedules run in their order,
    each at its time.

    Errors of handlers are raised to the test by these two, and by the end of the block what was not raised
    before, unless an exception ends it. An attempt that asks for another one with `Retry` is none, until the
    retries are used up.
    """

    def __init__(self, manager: QueueManager | None = None, **settings: Any) -> None:
        self.clock = TravellingClock()
        self.manager = manager or QueueManager("memory://", clock=self.clock, **settings)
        self.get_queue = self.manager.get_queue
        self._is_lent = manager is not None
        self._settings = settings
        self._stack = AsyncExitStack()
        self._is_entered = False
        self._errors: list[BaseException] = []

    async def run_until_idle(self, *, raise_errors: bool = True, timeout: float = 10.0) -> None:
        """Run what is ready, and what that enqueues, until nothing is left.

        What handlers raised meanwhile is raised, the first error itself or, of several, as an
        `ExceptionGroup`; with `raise_errors=False` it is not, and retries and failures go their way. Raises
        `TimeoutError` after `timeout` real seconds of work without an end, and `QueueError` outside of the
        block.
        """
        if not self._is_entered:
            raise QueueError("Inline queues run inside their block only: async with InlineQueues() as queues")
        self._look()
        try:
            async with asyncio.timeout(timeout):
                while not self._quiet():  # noqa: ASYNC110
                    await asyncio.sleep(_PAUSE if self._busy() else 0)
        except TimeoutError:
            raise TimeoutError(f"Not idle after {timeout} s: {self._at_work()}") from None
        errors = self._take_errors()
        if raise_errors:
            _raise(errors)

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
        async with AsyncExitStack() as stack:
            if self._is_lent:
                await stack.enter_async_context(rehearsal(self.manager, self.clock, **self._settings))
            else:
                stack.push_async_callback(self.manager.shutdown, timeout=0)
            self.manager.on(JobRetried, self._retried)
            self.manager.on(JobFailed, self._failed)
            await self.manager.start()
            self._stack = stack.pop_all()
        self._is_entered = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._is_entered = False
        await self._stack.aclose()
        errors = self._take_errors()
        if exc is None:
            _raise(errors)

    def _retried(self, event: JobRetried) -> None:
        if event.error is not None and not isinstance(event.error, Retry):
            self._errors.append(event.error)

    def _failed(self, event: JobFailed) -> None:
        stalled = AssertionError(
            f"{event.consumer_group}/{event.job_id} failed as {event.error_type}: {event.message}"
        )
        self._errors.append(stalled if event.error is None else event.error)

    def _take_errors(self) -> list[BaseException]:
        errors, self._errors = self._errors, []
        return errors

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

    def _at_work(self) -> str:
        busy = [queue.name for queue in self.manager.get_queues() if queue.worker and queue.worker.busy]
        if busy:
            return f"handlers still run in {', '.join(busy)}"
        return "jobs follow each other without an end"

    def _next_due(self) -> Millis | None:
        dues = [worker.next_due_at for worker in self._workers()]
        return min((due for due in dues if due is not None), default=None)


def _raise(errors: Sequence[BaseException]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup("handlers raised", errors)
