"""How a worker process goes from its start to its end, whatever comes between."""

from __future__ import annotations

import asyncio

import pytest

from checkmate_queue import Job, Queue, QueueManager
from checkmate_queue.cli.work.plan import Plan
from checkmate_queue.cli.work.process import work
from checkmate_queue.cli.work.wishes import Wishes


async def test_a_stop_during_the_start_finishes_what_runs_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """L1: one queue's handler runs while the next queue is still being joined."""
    manager = QueueManager("memory://")
    first, second = manager.get_queue("first", int), manager.get_queue("second", int)
    running, joined, finish = asyncio.Event(), asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    @first.consumer(consumer_group="g")
    async def handle(job: Job[int]) -> None:
        running.set()
        await finish.wait()
        finished.append(job.data)

    @second.consumer(consumer_group="g")
    async def handle_other(job: Job[int]) -> None:
        """Nothing comes."""

    start_declared = Queue.start_declared

    async def slowly(queue: Queue[int]) -> None:
        if queue is second:
            await joined.wait()
        await start_declared(queue)

    monkeypatch.setattr(Queue, "start_declared", slowly)
    await manager.start(consume=False)
    await first.enqueue(1)
    wishes = Wishes()
    working = asyncio.ensure_future(work(manager, Plan("app:manager"), wishes, lambda: None))
    await asyncio.wait_for(running.wait(), 20)
    wishes.drain.set()
    for _ in range(10):
        await asyncio.sleep(0)
    joined.set()
    finish.set()
    assert await asyncio.wait_for(working, 20) is True
    assert finished == [1]
