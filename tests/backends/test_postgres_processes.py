"""Many processes at one schema: what only one of them may do is done once."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from checkmate_queue import Job, QueueManager
from checkmate_queue.testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

ENQUEUE = """
import asyncio, sys
from checkmate_queue import QueueManager

async def main():
    async with QueueManager(sys.argv[1]) as manager:
        print("ready", flush=True)
        sys.stdin.readline()
        queue = manager.get_queue("q")
        answers = await asyncio.gather(*(queue.enqueue(n, job_id="one") for n in range(5)))
        print(sum(answer.created for answer in answers))

asyncio.run(main())
"""
SCHEDULE = """
import asyncio, sys
from checkmate_queue import QueueManager

async def main():
    managers = [QueueManager(sys.argv[1], max_connections=1) for _ in range(25)]
    print("ready", flush=True)
    sys.stdin.readline()
    async def upsert(manager):
        await manager.start()
        await manager.get_queue("q").schedule_recurring("s", 1, interval_seconds=3600)
        await manager.shutdown()
    await asyncio.gather(*map(upsert, managers))
    print("done")

asyncio.run(main())
"""
DRAIN = """
import asyncio, sys
from checkmate_queue import QueueManager

async def main():
    done = []
    async def handle(job):
        done.append(job.data)
    async with QueueManager(sys.argv[1], concurrency=100) as manager:
        print("ready", flush=True)
        sys.stdin.readline()
        queue = manager.get_queue("q")
        await queue.consume(handle, consumer_group="g")
        while (stats := await queue.get_stats()).pending + stats.processing:
            await asyncio.sleep(0.5)
    print(*done)

asyncio.run(main())
"""
SKEWED = """
import sys, time
shift, real, real_ns = float(sys.argv[2]), time.time, time.time_ns
time.time, time.time_ns = (lambda: real() + shift), (lambda: real_ns() + int(shift * 1e9))
import asyncio
from checkmate_queue import LeaseLost, QueueManager

async def main():
    ran, lost = [], []
    async def handle(job):
        assert abs(job.timestamp.timestamp() - real()) < 60
        ran.append((job.data, real_ns() // 1_000_000))
        if job.data == "long":
            await asyncio.sleep(3.5)
    async with QueueManager(sys.argv[1], lease_seconds=2) as manager:
        manager.on(LeaseLost, lost.append)
        queue = manager.get_queue("q")
        await queue.consume(handle, consumer_group="g")
        print("ready", flush=True)
        sys.stdin.readline()
        await queue.schedule_recurring("every", "tick", interval_seconds=1)
        begun = real_ns() // 1_000_000
        await queue.enqueue("delayed", start_delay=1.5)
        await queue.enqueue("long", expires_in=60)
        await asyncio.sleep(4.6)
        await queue.cancel_recurring("every")
        ran += [("lost", begun)] * len(lost)
    print(*(f"{what}:{at - begun}" for what, at in ran))

asyncio.run(main())
"""


async def together(script: str, count: int, *arguments: str) -> list[str]:
    """What processes print that all begin at the same moment."""
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, *arguments, stdin=pipe, stdout=pipe
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0] * count
    return [answer.decode().strip() for answer, _ in answers]


async def test_one_id_from_eight_processes_makes_one_job(postgres_storage: PostgresStorage) -> None:
    """J7: 40 callers in 8 processes at once; one of them is told that it made the job."""
    async with QueueManager(postgres_storage.manager_url) as manager:
        assert sorted(await together(ENQUEUE, 8, postgres_storage.manager_url)) == ["0"] * 7 + ["1"]
        assert (await manager.get_queue("q").get_stats()).unclaimed == 1


async def test_a_hundred_instances_make_one_schedule(postgres_storage: PostgresStorage) -> None:
    """R4: in four processes, all at once; one schedule, one first run."""
    ran: list[str] = []

    async def handle(job: Job[int]) -> None:
        ran.append(job.id)

    async with QueueManager(postgres_storage.manager_url) as manager:
        queue = manager.get_queue("q")
        await queue.consume(handle, consumer_group="g")
        assert await together(SCHEDULE, 4, postgres_storage.manager_url) == ["done"] * 4
        assert await queue.list_recurring_jobs() == ["s"]
        await wait_until(lambda: ran, description="the first run")
        assert (await queue.get_stats()).completed == len(ran) == 1


@pytest.mark.full
async def test_eight_workers_run_each_of_fifty_thousand_jobs_once(postgres_storage: PostgresStorage) -> None:
    """G1: competing consumers share the jobs out."""
    async with QueueManager(postgres_storage.manager_url) as manager:
        queue = manager.get_queue("q")
        for first in range(0, 50_000, 1000):
            await queue.enqueue_many(range(first, first + 1000))
        printed = await together(DRAIN, 8, postgres_storage.manager_url)
        ran = Counter(int(number) for line in printed for number in line.split())
        assert ran == Counter(range(50_000))
        assert (await queue.get_stats()).completed == 50_000


@pytest.mark.parametrize("shift", [3600, -3600])
async def test_a_worker_whose_clock_is_an_hour_off(postgres_storage: PostgresStorage, shift: int) -> None:
    """J6, J9, R1, G7: times are those of the server; the worker's own clock changes nothing."""
    others: list[str] = []

    async def handle(job: Job[str]) -> None:
        others.append(job.data)

    # A worker whose clock is right ticks beside it, and would take its work over if its lease were wrong.
    async with QueueManager(postgres_storage.manager_url, lease_seconds=2) as manager:
        queue = manager.get_queue("q")
        await queue.consume(handle, consumer_group="other")
        (line,) = await together(SKEWED, 1, postgres_storage.manager_url, str(shift))
        ran = [(what, int(at)) for what, _, at in (word.partition(":") for word in line.split())]
        delayed = [at for what, at in ran if what == "delayed"]
        assert len(delayed) == 1
        assert delayed[0] >= 1500
        names = sorted(what for what, _ in ran)
        assert names == ["delayed", "long", *["tick"] * (len(names) - 2)]
        assert 4 <= names.count("tick") <= 10
        await wait_until(lambda: sorted(others) == names, description="the others have run the same")
        stats = await queue.get_stats()
        assert stats.completed == 2 * len(names)
        assert stats.expired + stats.failed + stats.delayed == 0
