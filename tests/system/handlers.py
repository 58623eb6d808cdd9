"""Handlers that tests watch."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from checkmate_queue import Job, Queue
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until

PATIENCE = 30.0
"""How long a test waits for what must come; a machine under load is slow."""


class Recorder:
    """An async handler that keeps what it was given."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any]] = []

    async def __call__(self, job: Job[Any]) -> None:
        self.jobs.append(job)

    @property
    def ids(self) -> list[str]:
        """The ids, in the order of the calls."""
        return [job.id for job in self.jobs]

    @property
    def data(self) -> list[Any]:
        """The payloads, in the order of the calls."""
        return [job.data for job in self.jobs]

    async def calls(self, count: int) -> None:
        """Wait until it was called that often."""
        await wait_until(
            lambda: len(self.jobs) >= count,
            description=f"the handler was called {count} times, not {len(self.jobs)}",
            timeout=PATIENCE,
        )


class Gate(Recorder):
    """An async handler that returns when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.running = 0
        self.most = 0
        self.cancelled = 0

    async def __call__(self, job: Job[Any]) -> None:
        self.jobs.append(job)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    def open(self) -> None:
        """Let all go, those to come as well."""
        self.opened.set()


async def settled(queue: Queue[Any], *, delayed: int = 0, unclaimed: int = 0) -> None:
    """Wait until nothing of the queue waits or runs, but for so many delayed and unclaimed ones."""

    async def rest() -> bool:
        stats = await queue.get_stats()
        left = (stats.pending, stats.processing, stats.delayed, stats.unclaimed)
        return left == (0, 0, delayed, unclaimed)

    await wait_until(rest, description=f"nothing waits or runs in {queue!r}", timeout=PATIENCE)


def travel(clock: TravellingClock, queue: Queue[Any], span: float | timedelta) -> None:
    """Let time pass, and have this process look at the queue."""
    clock.advance(span)
    queue.work_came()


async def at_rest(queue: Queue[Any]) -> None:
    """Wait until this process has no call under way, which would carry the time before a clock travels."""
    worker = queue.worker
    assert worker is not None
    await wait_until(lambda: worker.quiet, description=f"{queue!r} is at rest", timeout=PATIENCE)


async def still_works(queue: Queue[Any], recorder: Recorder, data: Any = "still works") -> None:
    """Prove that the queue, which `recorder` consumes, delivers."""
    job_id = await queue.enqueue(data)
    await wait_until(
        lambda: job_id in recorder.ids, description="the queue delivers as before", timeout=PATIENCE
    )
