"""Forks, other event loops, and what is left when a process ends (section 1, J3, L1)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from checkmate_queue import QueueError, QueueManager
from tests.system.handlers import Recorder, still_works
from tests.system.storages import ManagerFor, Storage

FORK = """
import asyncio, os, sys
from checkmate_queue import QueueError, QueueManager

def child(manager, queue):
    calls = [
        lambda: asyncio.run(queue.enqueue(1)),
        lambda: asyncio.run(queue.get_stats()),
        lambda: asyncio.run(manager.start()),
        lambda: asyncio.run(manager.get_aggregated_stats()),
        lambda: asyncio.run(queue.stop()),
        lambda: asyncio.run(manager.shutdown()),
        lambda: queue.enqueue_sync(1),
    ]
    for call in calls:
        try:
            call()
        except QueueError as error:
            assert "fork" in str(error), error
        else:
            os._exit(1)
    os._exit(0)

async def main():
    async with QueueManager(sys.argv[1]) as manager:
        queue = manager.get_queue("q")
        await queue.enqueue(0)
        if (pid := os.fork()) == 0:
            asyncio.events._set_running_loop(None)
            child(manager, queue)
        status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(status[1]) == 0, status
        await queue.enqueue(2)
        assert (await queue.get_stats()).unclaimed == 2
    print("fine")

asyncio.run(main())
"""


async def run(script: str, *arguments: str) -> str:
    """Run a script in a process of its own; what it says on its error output is a failure."""
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.strip()


async def test_use_after_a_fork_raises(storage: Storage) -> None:
    """Section 1: clearly, in the child, whatever is called; the parent goes on."""
    assert await run(FORK, storage.url) == "fine"


async def test_a_manager_that_was_not_started_survives_a_fork(storage: Storage) -> None:
    """Section 1: construction opens nothing, so that a server that forks may import it first."""
    script = """
import asyncio, os, sys
from checkmate_queue import QueueManager
manager = QueueManager(sys.argv[1])
queue = manager.get_queue("q")

@queue.consumer("g")
async def handler(job):
    print(job.data, flush=True)
    seen.set()

async def main():
    global seen
    seen = asyncio.Event()
    async with manager:
        await queue.enqueue("child")
        await seen.wait()

if (pid := os.fork()) == 0:
    asyncio.run(main())
    os._exit(0)
os.waitpid(pid, 0)
"""
    assert await run(script, storage.url) == "child"


async def test_use_in_another_loop_raises(manager_for: ManagerFor) -> None:
    """Section 1: clearly; and `enqueue_sync` is the way from there."""
    manager = await manager_for()
    queue = manager.get_queue("loops")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")

    def elsewhere() -> list[str]:
        found = []
        calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
            lambda: queue.enqueue(1),
            lambda: queue.consume(Recorder(), consumer_group="x"),
            queue.get_stats,
            queue.stop,
            manager.get_aggregated_stats,
            manager.start,
            manager.shutdown,
        ]
        for call in calls:
            try:
                asyncio.run(call())
            except QueueError as error:
                found.append(str(error))
        return found

    errors = await asyncio.to_thread(elsewhere)
    assert len(errors) == 7
    assert all("another event loop" in error for error in errors)
    await still_works(queue, recorder)


async def test_waiting_in_another_loop_for_the_start(manager_for: ManagerFor) -> None:
    """Section 1: whoever waits elsewhere is told, too, once the manager has started here."""
    manager = await manager_for(start=False)
    queue = manager.get_queue("loops")
    errors: list[BaseException] = []
    waits = threading.Event()

    async def use() -> None:
        waits.set()
        await queue.enqueue(1)

    def elsewhere() -> None:
        try:
            asyncio.run(use())
        except QueueError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(waits.wait)
    await manager.start()
    await asyncio.to_thread(thread.join)
    assert ["another event loop" in str(error) for error in errors] == [True]


def test_construction_needs_no_loop(storage: Storage) -> None:
    """Section 1: managers, queues and declared consumers are made where modules are imported."""
    manager = storage.manager()
    queue = manager.get_queue("early", int)
    recorder = Recorder()
    queue.consumer("g")(recorder)

    async def main() -> None:
        async with manager:
            await still_works(queue, recorder, 1)

    asyncio.run(main())
    assert recorder.data == [1]


async def test_what_was_answered_outlives_the_process(storage: Storage) -> None:
    """J3: a process that ends at once after `enqueue`, without any goodbye, has stored its job."""
    if storage.kind == "memory":
        return  # It has no durability to offer.
    script = """
import asyncio, os, sys
from checkmate_queue import QueueManager
async def main():
    manager = QueueManager(sys.argv[1])
    await manager.start()
    queue = manager.get_queue("q")
    await queue.enqueue_many(range(100))
    await asyncio.gather(*(queue.enqueue(n) for n in range(100, 200)))
    await queue.schedule_recurring("s", 1, interval_seconds=60, start_delay=60)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, storage.url], timeout=60, check=False
    )
    assert ran.returncode == -9
    async with QueueManager(storage.url) as manager:
        queue = manager.get_queue("q")
        assert (await queue.get_stats()).unclaimed == 200
        assert await queue.list_recurring_jobs() == ["s"]
        recorder = Recorder()
        await queue.consume(recorder, consumer_group="g", concurrency=1)
        await recorder.calls(200)
        assert recorder.data == list(range(200))


async def test_a_process_that_forgets_to_shut_down_can_exit(storage: Storage) -> None:
    """L1: no thread of ours keeps the interpreter alive."""
    script = """
import asyncio, sys
from checkmate_queue import QueueManager
async def main():
    manager = QueueManager(sys.argv[1])
    await manager.start()
    queue = manager.get_queue("q")
    seen = asyncio.Event()
    async def handler(job):
        seen.set()
        await asyncio.sleep(3600)
    await queue.consume(handler, consumer_group="g")
    await queue.consume(lambda job: None, consumer_group="plain")
    await queue.enqueue(1)
    await seen.wait()
asyncio.run(main())
print("the end")
"""
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, storage.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "the end\n")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
async def test_an_interrupted_process_gives_back_what_it_ran(storage: Storage, signal_name: str) -> None:
    """L1: Ctrl-C and a polite kill end `asyncio.run` as its program wants; jobs are not lost."""
    if storage.kind == "memory":
        return
    script = """
import asyncio, os, signal, sys
from checkmate_queue import QueueManager
async def main():
    loop, ends = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ends.set)
    manager = QueueManager(sys.argv[1])
    async with manager:
        queue = manager.get_queue("q")
        async def handler(job):
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
            await asyncio.sleep(3600)
        await queue.consume(handler, consumer_group="g")
        await queue.enqueue("interrupted")
        try:
            await ends.wait()
        finally:
            await manager.shutdown(timeout=0)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
print("the end")
"""
    assert await run(script, storage.url, signal_name) == "the end"
    async with QueueManager(storage.url) as manager:
        queue: Any = manager.get_queue("q")
        stats = await queue.get_stats()
        assert (stats.pending, stats.processing) == (1, 0)
