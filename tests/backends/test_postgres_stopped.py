"""A worker that stands still for longer than its lease, and comes back when others have done its work."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from checkmate_queue import Job, QueueManager
from checkmate_queue.core.model import GroupJoin, LapseSettlement, NewJob, RetryLater
from checkmate_queue.testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

WORKER = """
import asyncio, pathlib, sys, time
from checkmate_queue import LeaseLost, QueueManager

def say(line):
    sys.stdout.write(f"{line}\\n")  # In one piece, since threads speak, too.
    sys.stdout.flush()

async def hang(job):
    say(f"hang {job.data}")
    try:
        if job.data == "first":
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        say(f"cancelled {job.data}")
        raise

def late(job):
    say(f"late {job.data}")
    while not pathlib.Path(sys.argv[2]).exists():
        time.sleep(0.01)
    say(f"ended {job.data}")

async def main():
    async with QueueManager(sys.argv[1], lease_seconds=3, max_stalls=100) as manager:
        manager.on(LeaseLost, lambda event: say(f"lost {event.deliveries}"))
        queue = manager.get_queue("q")
        await queue.consume(hang, consumer_group="hang")
        await queue.consume(late, consumer_group="late")
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        await queue.stop(timeout=1)

asyncio.run(main())
"""
STORE = """
import asyncio, sys
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Done, GroupJoin
from checkmate_queue.store import LeaseLostError

async def main():
    store = PostgresStore(sys.argv[1], schema=sys.argv[2])
    await store.open()
    epoch = await store.join("q", "frozen", [GroupJoin("g")], 2000)
    (claim,) = (await store.exchange(epoch, "g", 1, [], 1)).claims
    print("claimed", flush=True)
    sys.stdin.readline()
    try:
        await store.exchange(epoch, "g", 2, [Done(claim.key)], 1)
    except LeaseLostError:
        print("lost", flush=True)
    again = await store.join("q", "frozen", [GroupJoin("g")], 60_000)
    answer = await store.exchange(again, "g", 1, [Done(claim.key)], 0)
    print("refused", answer.refused == [claim.key], again.number > epoch.number, flush=True)
    await store.close()

asyncio.run(main())
"""


@asynccontextmanager
async def process(script: str, *arguments: str) -> AsyncIterator[Process]:
    """A process of this script; it is killed with the block."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stdin=PIPE, stdout=PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def lines(running: Process, count: int) -> list[str]:
    """The next lines that it prints, sorted."""
    assert running.stdout is not None
    async with asyncio.timeout(60):
        return sorted([(await running.stdout.readline()).decode().strip() for _ in range(count)])


async def test_a_worker_that_stood_still_has_lost_its_work(
    postgres_storage: PostgresStorage, tmp_path: Path
) -> None:
    """G7, G8: another ran it; handlers are cancelled, their outcomes count for nothing, it joins again."""
    ran: list[tuple[str, str, int]] = []

    async def handle(job: Job[str]) -> None:
        ran.append((job.consumer_group, job.data, job.attempts))

    flag = tmp_path / "go on"
    url = postgres_storage.manager_url
    async with process(WORKER, url, str(flag)) as frozen, QueueManager(url, lease_seconds=3) as manager:
        assert await lines(frozen, 1) == ["ready"]
        queue = manager.get_queue("q")
        await queue.enqueue("first")
        assert await lines(frozen, 2) == ["hang first", "late first"]
        frozen.send_signal(signal.SIGSTOP)
        for group in ("hang", "late"):
            await queue.consume(handle, consumer_group=group, max_retries=0)
        await wait_until(lambda: len(ran) == 2, description="another ran both", timeout=30)
        assert sorted(ran) == [("hang", "first", 0), ("late", "first", 0)]
        await queue.stop()
        assert (await queue.get_stats()).completed == 2
        frozen.send_signal(signal.SIGCONT)
        assert await lines(frozen, 2) == ["cancelled first", "lost 2"]
        flag.touch()
        assert await lines(frozen, 1) == ["ended first"]
        await manager.get_queue("q").enqueue("second")
        assert await lines(frozen, 3) == ["ended second", "hang second", "late second"]

        async def four() -> bool:
            return (await queue.get_stats()).completed >= 4

        await wait_until(four, description="both of the second are completed", timeout=30)
        stats = await queue.get_stats()
        assert (stats.completed, stats.failed, stats.processing, stats.pending) == (4, 0, 0, 0)
        await frozen.communicate(b"stop\n")
        assert frozen.returncode == 0


async def test_the_server_refuses_late_outcomes(postgres_storage: PostgresStorage) -> None:
    """G8: under the epoch that died, and under the next one of the same worker."""
    store = await postgres_storage.connect()
    await store.open()
    await store.register("q")
    epoch = await store.join("q", "other", [GroupJoin("g")], 60_000)
    await store.add("q", [[NewJob("a", b"{}")]])
    async with process(STORE, postgres_storage.url, postgres_storage.schema) as frozen:
        assert await lines(frozen, 1) == ["claimed"]
        frozen.send_signal(signal.SIGSTOP)

        lapsed: list[LapseSettlement] = []

        async def taken_over() -> bool:
            for lapse in (await store.tick(epoch)).lapsed:
                lapsed.append(LapseSettlement("g", RetryLater(lapse.claim.key, 0)))
            return bool(lapsed)

        await wait_until(taken_over, description="its lease ran out", timeout=30)
        await store.tick(epoch, lapsed)
        assert len((await store.exchange(epoch, "g", 1, [], 1)).claims) == 1
        frozen.send_signal(signal.SIGCONT)
        answer, _ = await frozen.communicate(b"go on\n")
        assert answer.decode().splitlines() == ["lost", "refused True True"]
        assert (await store.stats("q")).processing == 1
    await store.close()
