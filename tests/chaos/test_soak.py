"""Long runs leave nothing behind: memory, storage and tasks stay as they were."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from checkmate_queue import Discard, Job, Queue, QueueManager
from checkmate_queue.testing.waiting import wait_until

BATCH = 2_000
ROUNDS = 60
MEBIBYTE = 1024 * 1024


def resident_bytes() -> int:
    """How much memory this process holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status says no VmRSS")


async def one_round(queue: Queue[int], number: int) -> None:
    """Jobs of every kind: plain, with an id, delayed, expiring, failing for good, cancelled."""
    await queue.enqueue_many(range(BATCH), metadata={"round": str(number)})
    for i in range(50):
        await queue.enqueue(i, job_id=f"dedup-{i}")
        await queue.enqueue(i, start_delay=0.05, expires_in=60)
        await queue.enqueue(-1, priority=i)
        cancelled = await queue.enqueue(i, start_delay=3600)
        await queue.cancel(cancelled)
    ephemeral = await queue.consume(lambda job: None, consumer_group=f"listener-{number}", ephemeral=True)
    await ephemeral.stop()

    async def quiet() -> bool:
        stats = await queue.get_stats()
        return stats.pending == stats.delayed == stats.processing == 0

    await wait_until(quiet, description=f"round {number} done", timeout=120)


@pytest.mark.full
@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_a_long_run_stays_flat(engine: str, tmp_path: Path) -> None:
    """L1, F4: jobs, groups, failed entries and tasks that have ended cost nothing any more."""
    file = tmp_path / "queue.db"
    url = "memory://" if engine == "memory" else f"sqlite:///{file}"
    tasks_before = len(asyncio.all_tasks())
    async with QueueManager(url, failed_retention_count=100, concurrency=100) as manager:
        queue = manager.get_queue("soak", int)

        async def handle(job: Job[int]) -> None:
            if job.data < 0:
                raise Discard("on purpose")

        await queue.consume(handle, consumer_group="left")
        await queue.consume(handle, consumer_group="right")
        await queue.schedule_recurring("beat", 1, interval_seconds=0.1)
        samples: list[tuple[int, int]] = []
        for number in range(ROUNDS):
            await one_round(queue, number)
            if number % 5 == 4:
                gc.collect()
                samples.append((resident_bytes(), file.stat().st_size if engine == "sqlite" else 0))
        await queue.cancel_recurring("beat")
        stats = await queue.get_stats()
        assert stats.consumer_groups == 2
        assert len(await queue.list_jobs()) <= 1
        assert len(await queue.list_failed(limit=1_000)) <= 200
    assert len(asyncio.all_tasks()) == tasks_before
    # The first quarter fills caches; from then on nothing may grow with the number of jobs.
    settled, last = samples[len(samples) // 4], samples[-1]
    assert last[0] - settled[0] < 24 * MEBIBYTE, samples
    assert last[1] <= max(2 * settled[1], 16 * MEBIBYTE), samples
