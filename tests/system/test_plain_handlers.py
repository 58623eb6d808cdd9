"""Plain functions as handlers: they run on threads, and can't be interrupted (F6)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from checkmate_queue import Job
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Recorder, settled, still_works
from tests.system.storages import ManagerFor, Storage


class Stuck:
    """A plain handler that returns when it is let go."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any]] = []
        self.let_go = threading.Event()
        self.ended = 0

    def __call__(self, job: Job[Any]) -> None:
        self.jobs.append(job)
        if job.data == "stuck":
            self.let_go.wait(PATIENCE)
        self.ended += 1

    async def calls(self, count: int) -> None:
        """Wait until it was called that often."""
        await wait_until(
            lambda: len(self.jobs) >= count, description="the plain handler runs", timeout=PATIENCE
        )


async def test_its_timeout_takes_effect_when_it_returns(manager_for: ManagerFor) -> None:
    """F6, F1: until then its slot stays taken, and `job.cancelled` tells it."""
    manager = await manager_for()
    queue = manager.get_queue("plain")
    stuck = Stuck()
    await queue.consume(stuck, consumer_group="g", concurrency=1, timeout=0.05, max_retries=0)
    await queue.enqueue_many(["stuck", "next"])
    await stuck.calls(1)
    await wait_until(lambda: stuck.jobs[0].cancelled, description="it was told", timeout=PATIENCE)
    stats = await queue.get_stats()
    assert (stats.processing, stats.pending, stats.failed) == (1, 1, 0)
    stuck.let_go.set()
    await settled(queue)
    [entry] = await queue.list_failed()
    assert (entry.data, entry.error_type) == ("stuck", "TimeoutError")
    assert [job.data for job in stuck.jobs] == ["stuck", "next"]


async def test_it_can_look_and_end_by_itself(manager_for: ManagerFor) -> None:
    """F6, L12: a handler that heeds `job.cancelled` ends soon, and as cancelled."""
    manager = await manager_for(lease_seconds=1)
    queue = manager.get_queue("plain")
    seen: list[str] = []
    pause = threading.Event()

    def polite(job: Job[Any]) -> None:
        seen.append("started")
        while not job.cancelled:
            pause.wait(0.005)
        seen.append("ended")

    await queue.consume(polite, consumer_group="g", max_retries=5)
    job_id = await queue.enqueue(1)
    await wait_until(lambda: seen, description="it runs", timeout=PATIENCE)
    result = await queue.cancel(job_id)
    assert (result.removed, result.signalled) == (0, 1)
    await settled(queue)
    stats = await queue.get_stats()
    assert (stats.cancelled, stats.completed, stats.failed) == (1, 0, 0)
    assert seen == ["started", "ended"]


async def test_a_stop_with_a_timeout_gives_its_delivery_back(manager_for: ManagerFor) -> None:
    """F6, L1: at the front, with no attempt counted; what the function still does is nobody's."""
    manager = await manager_for()
    queue = manager.get_queue("plain")
    stuck = Stuck()
    await queue.consume(stuck, consumer_group="g", max_retries=0, concurrency=1)
    await queue.enqueue("stuck", job_id="job")
    await stuck.calls(1)
    await queue.enqueue("behind it")
    await queue.stop(timeout=0.05)
    assert stuck.ended == 0
    assert stuck.jobs[0].cancelled
    recorder = Recorder()
    fresh = manager.get_queue("plain")
    assert (await fresh.get_stats()).pending == 2
    await fresh.consume(recorder, consumer_group="g", max_retries=0, concurrency=1)
    await recorder.calls(2)
    assert recorder.data == ["stuck", "behind it"]
    assert recorder.jobs[0].attempts == 0
    stuck.let_go.set()
    await settled(fresh)
    stats = await fresh.get_stats()
    assert (stats.completed, stats.failed) == (2, 0)


@pytest.mark.parametrize("how", ["queue twice", "consumer twice", "consumer and queue", "shutdown twice"])
async def test_two_stops_at_once_with_a_timeout(manager_for: ManagerFor, how: str) -> None:
    """L1, F6: each of them returns."""
    manager = await manager_for()
    queue = manager.get_queue("plain")
    stuck = Stuck()
    consumer = await queue.consume(stuck, consumer_group="g")
    await queue.enqueue("stuck")
    await stuck.calls(1)
    stops = {
        "queue twice": [queue.stop(timeout=0.05), queue.stop(timeout=0.05)],
        "consumer twice": [consumer.stop(timeout=0.05), consumer.stop(timeout=0.05)],
        "consumer and queue": [consumer.stop(timeout=0.05), queue.stop(timeout=0.05)],
        "shutdown twice": [manager.shutdown(timeout=0.05), manager.shutdown(timeout=0.05)],
    }
    for name, calls in stops.items():
        if name != how:
            for call in calls:
                call.close()
    await asyncio.gather(*stops[how])
    assert stuck.ended == 0
    stuck.let_go.set()


async def test_a_lease_lost_during_a_stop(manager_for: ManagerFor) -> None:
    """L1, F6, G8: two ends of one attempt at once are one end."""
    manager = await manager_for()
    queue = manager.get_queue("plain")
    stuck = Stuck()
    consumer = await queue.consume(stuck, consumer_group="g")
    job_id = await queue.enqueue("stuck")
    await stuck.calls(1)
    stopping = asyncio.create_task(consumer.stop(timeout=0.1))
    await asyncio.sleep(0)
    await queue.cancel(job_id)
    await stopping
    stuck.let_go.set()
    assert (await queue.get_stats()).processing == 0


STUCK_FOR_GOOD = """
import asyncio, sys, threading
from checkmate_queue import QueueManager

started = threading.Event()

def handler(job):
    started.set()
    threading.Event().wait()

async def main():
    manager = QueueManager(sys.argv[1])
    await manager.start()
    queue = manager.get_queue("plain")
    await queue.consume(handler, consumer_group="g")
    await queue.enqueue("stuck")
    await asyncio.to_thread(started.wait)
    await getattr(queue if sys.argv[2] == "stop" else manager, sys.argv[2])(timeout=0.1)
    print((await manager.get_queue("plain").get_stats()).pending if sys.argv[2] == "stop" else "shut down")

asyncio.run(main())
print("the end")
"""


@pytest.mark.parametrize(("end", "said"), [("stop", "1"), ("shutdown", "shut down")])
async def test_the_process_can_exit_while_it_runs(storage: Storage, end: str, said: str) -> None:
    """F6: after a stop with a timeout, a function that never returns does not keep the process alive."""
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", STUCK_FOR_GOOD, storage.url, end],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.stdout.split("\n"), ran.returncode) == ([said, "the end", ""], 0), ran.stderr


async def test_plain_handlers_may_use_the_queue(manager_for: ManagerFor) -> None:
    """Section 1: by `enqueue_sync`, or by the loop."""
    manager = await manager_for()
    queue = manager.get_queue("plain")
    loop = asyncio.get_running_loop()
    recorder = Recorder()

    def plain(job: Job[Any]) -> None:
        if job.data == "asks":
            stats = asyncio.run_coroutine_threadsafe(queue.get_stats(), loop).result()
            queue.enqueue_sync(f"{stats.processing} runs")
        recorder.jobs.append(job)

    await queue.consume(plain, consumer_group="g", max_retries=0)
    await queue.enqueue("asks")
    await recorder.calls(2)
    assert recorder.data == ["asks", "1 runs"]
    await still_works(queue, recorder)


async def test_a_plain_handler_may_stop_its_own_consumer(manager_for: ManagerFor) -> None:
    """L1: from its thread, through the loop."""
    manager = await manager_for()
    queue = manager.get_queue("plain")
    loop = asyncio.get_running_loop()
    stopped = threading.Event()

    def plain(job: Job[Any]) -> None:
        asyncio.run_coroutine_threadsafe(queue.stop(), loop).result(PATIENCE)
        stopped.set()

    await queue.consume(plain, consumer_group="g", max_retries=0)
    await queue.enqueue(1)
    assert await asyncio.to_thread(stopped.wait, PATIENCE)
    fresh = manager.get_queue("plain")
    await settled(fresh)
    assert (await fresh.get_stats()).completed == 1
