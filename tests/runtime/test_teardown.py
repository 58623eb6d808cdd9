"""A program that ends without a shutdown says nothing that isn't so."""

from __future__ import annotations

import asyncio

from checkmate_queue import Job, JobFailed, JobRetried, QueueManager


def test_an_event_loop_that_ends_without_a_shutdown_fails_no_job() -> None:
    """F1: a handler that is torn down with its loop has not failed; its lease runs out, and others run it."""
    told: list[object] = []

    async def main() -> None:
        manager = QueueManager("memory://")
        manager.on(JobFailed, told.append)
        manager.on(JobRetried, told.append)
        await manager.start()
        queue = manager.get_queue("q")
        begun = asyncio.Event()

        async def wait(job: Job[object]) -> None:
            begun.set()
            await asyncio.Event().wait()

        await queue.consume(wait, consumer_group="g", max_retries=0)
        await queue.enqueue(1)
        await begun.wait()

    asyncio.run(main())
    assert told == []
