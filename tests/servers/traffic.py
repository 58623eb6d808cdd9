"""A producer and consumers that go on whatever happens to the server, and remember what they were told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from checkmate_queue import BackendUnavailableError, Job, QueueManager, QueueStats
from checkmate_queue.testing.waiting import wait_until

PATIENCE = 1.0
LEASE = 3.0


class Traffic:
    """Jobs flow through queues of a backend, from one manager to another."""

    def __init__(self, url: str, queues: Sequence[str] = ("work",), **options: Any) -> None:
        self.queues = queues
        self.accepted: list[str] = []
        self.refusals: list[float] = []
        """After how many seconds a producer was told that the backend is not there."""
        self.handled: Counter[str] = Counter()
        settings = {"patience_seconds": PATIENCE, "lease_seconds": LEASE, **options}
        self.consuming = QueueManager(url, **settings)
        self.producing = QueueManager(url, **settings)
        self._producers: list[asyncio.Task[None]] = []
        self._producing = True

    async def __aenter__(self) -> Traffic:
        await self.consuming.start()
        await self.producing.start(consume=False)
        for name in self.queues:
            queue = self.consuming.get_queue(name, int)
            await queue.consume(self._handle, consumer_group="g", max_retries=0, concurrency=5)
        self._producers = [asyncio.create_task(self._produce(name)) for name in self.queues]
        await self.flow()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for producer in self._producers:
            producer.cancel()
            with suppress(asyncio.CancelledError):
                await producer
        await self.producing.shutdown(timeout=1)
        await self.consuming.shutdown(timeout=1)

    async def flow(self) -> None:
        """Wait until another fifty jobs were accepted, and another fifty handled."""
        accepted, handled = len(self.accepted) + 50, len(self.handled) + 50
        await wait_until(
            lambda: len(self.accepted) >= accepted and len(self.handled) >= handled,
            description="jobs flow",
            timeout=60,
        )

    async def refused(self) -> None:
        """Wait until a producer has been told twice that the backend is not there."""
        more = len(self.refusals) + 2
        await wait_until(lambda: len(self.refusals) >= more, description="producers are told", timeout=60)

    @property
    def lost(self) -> list[str]:
        """What was accepted and never handled, in that order."""
        return [job_id for job_id in self.accepted if job_id not in self.handled]

    async def settle(self) -> list[QueueStats]:
        """End production, and wait until all that the backend has is done; its numbers, queue by queue."""
        self._producing = False
        await asyncio.gather(*self._producers)
        queues = [self.producing.get_queue(name, int) for name in self.queues]

        async def settled() -> bool:
            found = [await queue.get_stats() for queue in queues]
            return all(stats.pending == stats.processing == stats.delayed == 0 for stats in found)

        await wait_until(settled, description="nothing is left", timeout=60)
        return [await queue.get_stats() for queue in queues]

    async def _produce(self, name: str) -> None:
        queue = self.producing.get_queue(name, int)
        loop = asyncio.get_running_loop()
        number = 0
        while self._producing:
            number += 1
            accepted = False
            while not accepted:
                begun = loop.time()
                try:
                    self.accepted.append(await queue.enqueue(number, job_id=f"{name}-{number}"))
                    accepted = True
                except BackendUnavailableError:
                    self.refusals.append(loop.time() - begun)

    async def _handle(self, job: Job[int]) -> None:
        await asyncio.sleep(0.002)
        self.handled[job.id] += 1
