"""Many processes at one server: what only one of them may do is done once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter

import pytest

from checkmate_queue import Job, QueueManager
from checkmate_queue.testing.waiting import wait_until

pytest_plugins = ["tests.servers.postgres", "tests.servers.valkey"]

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
    managers = [QueueManager(sys.argv[1]) for _ in range(25)]
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

FROZEN = """
import asyncio, sys
from checkmate_queue import LeaseLost, QueueManager

async def main():
    first = asyncio.Event()
    async def handle(job):
        if not first.is_set():
            first.set()
            print("ready", flush=True)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled", flush=True)
                raise
        print(job.data, flush=True)
    async with QueueManager(sys.argv[1], lease_seconds=1) as manager:
        manager.on(LeaseLost, lambda event: print("lost", flush=True))
        await manager.get_queue("q").consume(handle, consumer_group="g")
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.fixture(params=["postgres", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """What managers of an empty storage on a server are given."""
    address: str = request.getfixturevalue(f"{request.param}_storage").manager_url
    return address


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


async def test_one_id_from_eight_processes_makes_one_job(url: str) -> None:
    """J7: 40 callers in 8 processes at once; one of them is told that it made the job."""
    async with QueueManager(url) as manager:
        assert sorted(await together(ENQUEUE, 8, url)) == ["0"] * 7 + ["1"]
        assert (await manager.get_queue("q").get_stats()).unclaimed == 1


async def test_a_hundred_instances_make_one_schedule(url: str) -> None:
    """R4: in four processes, all at once; one schedule, one first run."""
    ran: list[str] = []

    async def handle(job: Job[int]) -> None:
        ran.append(job.id)

    async with QueueManager(url) as manager:
        queue = manager.get_queue("q")
        await queue.consume(handle, consumer_group="g")
        single = f"{url}&max_connections=1" if url.startswith("postgres") else url
        assert await together(SCHEDULE, 4, single) == ["done"] * 4
        assert await queue.list_recurring_jobs() == ["s"]
        await wait_until(lambda: ran, description="the first run")
        assert (await queue.get_stats()).completed == len(ran) == 1


@pytest.mark.full
async def test_eight_workers_run_each_of_fifty_thousand_jobs_once(url: str) -> None:
    """G1: competing consumers share the jobs out."""
    async with QueueManager(url) as manager:
        queue = manager.get_queue("q")
        for first in range(0, 50_000, 1000):
            await queue.enqueue_many(range(first, first + 1000))
        printed = await together(DRAIN, 8, url)
        ran = Counter(int(number) for line in printed for number in line.split())
        assert ran == Counter(range(50_000))
        assert (await queue.get_stats()).completed == 50_000


@pytest.mark.parametrize("shift", [3600, -3600])
async def test_a_worker_whose_clock_is_an_hour_off(url: str, shift: int) -> None:
    """J6, J9, R1, G7: times are those of the server; the worker's own clock changes nothing."""
    others: list[str] = []

    async def handle(job: Job[str]) -> None:
        others.append(job.data)

    # A worker whose clock is right ticks beside it, and would take its work over if its lease were wrong.
    async with QueueManager(url, lease_seconds=2) as manager:
        queue = manager.get_queue("q")
        await queue.consume(handle, consumer_group="other")
        (line,) = await together(SKEWED, 1, url, str(shift))
        ran = [(what, int(at)) for what, _, at in (word.partition(":") for word in line.split())]
        delayed = [at for what, at in ran if what == "delayed"]
        assert len(delayed) == 1
        assert delayed[0] >= 1500
        names = sorted(what for what, _ in ran)
        assert names == ["delayed", "long", *["tick"] * (len(names) - 2)]
        assert 4 <= names.count("tick") <= 10
        # A last tick may have come when that worker had stopped.
        await wait_until(
            lambda: Counter(others) >= Counter(names), description="the others have run the same"
        )
        assert len(others) <= len(names) + 1
        stats = await queue.get_stats()
        assert stats.completed == len(names) + len(others)
        assert stats.expired + stats.failed + stats.delayed == 0


async def test_a_worker_that_was_frozen_for_longer_than_its_lease(url: str) -> None:
    """G7, G8: another one has run its delivery; when it wakes up it is told, and works on."""
    ran: list[str] = []

    async def handle(job: Job[str]) -> None:
        ran.append(job.data)

    pipe = asyncio.subprocess.PIPE
    async with QueueManager(url, lease_seconds=1) as manager:
        queue = manager.get_queue("q")
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FROZEN, url, stdin=pipe, stdout=pipe
        )
        assert worker.stdout is not None
        await queue.enqueue("held")
        try:
            assert await worker.stdout.readline() == b"ready\n"
            worker.send_signal(signal.SIGSTOP)
            consumer = await queue.consume(handle, consumer_group="g")
            await wait_until(lambda: ran == ["held"], description="another one ran it", timeout=30)
            await consumer.stop()
            worker.send_signal(signal.SIGCONT)
            assert {await worker.stdout.readline() for _ in range(2)} == {b"lost\n", b"cancelled\n"}
            await queue.enqueue("next")
            assert await worker.stdout.readline() == b"next\n"
            await worker.communicate(b"end\n")
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.communicate()
        stats = await queue.get_stats()
        assert (stats.completed, stats.failed, stats.pending, stats.processing) == (2, 0, 0, 0)
