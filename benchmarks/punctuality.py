"""How late what is due starts: delayed jobs, interval schedules, cron schedules; never early."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.measure import ENGINES, Result, engine_url, percentile
from benchmarks.yardstick import Yardstick
from checkmate_queue import Job, QueueManager

SCHEDULES = 10_000
SPREAD_SECONDS = 60.0
DELAYED = 2_000
AT_ONCE = 100
PROBED = 500


def due_of(job: Job[Any]) -> int:
    """The due time that a schedule's job carries in its id, in milliseconds since the epoch."""
    return int(job.id.rpartition(":")[2])


async def delayed(engine: str) -> list[Result]:
    """2,000 jobs with delays of 1 to 10 seconds."""
    late: list[float] = []
    done = asyncio.Event()

    async def handle(job: Job[dict[str, float]]) -> None:
        late.append((time.time() - job.data["due"]) * 1000)
        if len(late) == DELAYED:
            done.set()

    with engine_url(engine) as url:
        async with QueueManager(url) as manager:
            queue = manager.get_queue("delayed")
            await queue.consume(handle, consumer_group="bench", concurrency=100)
            dice = random.Random(7)
            for _ in range(DELAYED):
                delay = dice.uniform(1, 10)
                await queue.enqueue({"due": time.time() + delay}, start_delay=delay)
            await asyncio.wait_for(done.wait(), 60)
    return [
        Result(f"{engine}: delayed jobs, p99 after due (J6)", percentile(late, 0.99), "ms", 50, at_most=True),
        Result(f"{engine}: delayed jobs, earliest start (J6)", min(late), "ms after due", 0),
    ]


async def put_schedules(put: Callable[[int], Awaitable[str]]) -> None:
    """Make all schedules, `AT_ONCE` calls at a time."""
    for first in range(0, SCHEDULES, AT_ONCE):
        await asyncio.gather(*(put(i) for i in range(first, first + AT_ONCE)))


async def lead_seconds(manager: QueueManager) -> float:
    """How long before the first due time the schedules must be begun, on this machine, now."""
    queue = manager.get_queue("probe")
    started = time.perf_counter()
    for first in range(0, PROBED, AT_ONCE):
        await asyncio.gather(
            *(
                queue.schedule_recurring(f"probe:{i}", {"i": i}, interval_seconds=86_400, start_delay=86_400)
                for i in range(first, first + AT_ONCE)
            )
        )
    return 10 + 2 * (time.perf_counter() - started) * SCHEDULES / PROBED


async def intervals(engine: str) -> list[Result]:
    """10,000 schedules whose due times are spread over a minute; the first run of each (R9)."""
    late: dict[int, float] = {}
    done = asyncio.Event()

    async def handle(job: Job[dict[str, int]]) -> None:
        late.setdefault(job.data["i"], time.time() * 1000 - due_of(job))
        if len(late) == SCHEDULES:
            done.set()

    with engine_url(engine) as url:
        async with QueueManager(url) as manager:
            queue = manager.get_queue("schedules")
            await queue.consume(handle, consumer_group="bench", concurrency=100)
            begin = time.time() + await lead_seconds(manager)

            def put(i: int) -> Awaitable[str]:
                delay = begin + i * SPREAD_SECONDS / SCHEDULES - time.time()
                return queue.schedule_recurring(
                    f"check:{i}", {"i": i}, interval_seconds=SPREAD_SECONDS, start_delay=delay
                )

            await put_schedules(put)
            if time.time() >= begin:
                raise RuntimeError("the machine was too slow to put the schedules in time")
            await asyncio.wait_for(done.wait(), 120)
    lates = list(late.values())
    return [
        Result(
            f"{engine}: {SCHEDULES:,} interval schedules, p99 after due (R9)",
            percentile(lates, 0.99),
            "ms",
            50,
            at_most=True,
        ),
        Result(f"{engine}: {SCHEDULES:,} interval schedules, earliest start", min(lates), "ms after due", 0),
    ]


async def crons(engine: str) -> list[Result]:
    """10,000 cron schedules that are due in the same second."""
    fired: dict[int, float] = {}
    started: dict[int, float] = {}
    done = asyncio.Event()

    async def handle(job: Job[dict[str, int]]) -> None:
        due_at = due_of(job) / 1000
        fired[job.data["i"]] = job.timestamp.timestamp() - due_at
        started[job.data["i"]] = time.time() - due_at
        if len(started) == SCHEDULES:
            done.set()

    with engine_url(engine) as url:
        async with QueueManager(url, max_queue_size=None) as manager:
            queue = manager.get_queue("schedules")
            await queue.consume(handle, consumer_group="bench", concurrency=100)
            lead = timedelta(seconds=await lead_seconds(manager))
            due = (datetime.now(UTC) + lead).replace(microsecond=0)
            pattern = f"{due.second} {due.minute} {due.hour} * * *"
            await put_schedules(
                lambda i: queue.schedule_recurring(f"check:{i}", {"i": i}, cron_pattern=pattern)
            )
            if datetime.now(UTC) >= due:
                raise RuntimeError("the machine was too slow to put the schedules in time")
            await asyncio.wait_for(done.wait(), 120)
    return [
        Result(
            f"{engine}: {SCHEDULES:,} cron schedules of one second, all fired",
            max(fired.values()),
            "s",
            2,
            at_most=True,
        ),
        Result(
            f"{engine}: {SCHEDULES:,} cron schedules of one second, all started", max(started.values()), "s"
        ),
    ]


async def run(stick: Yardstick, repeats: int) -> list[Result]:
    results = []
    for engine in ENGINES:
        for part in (delayed, intervals, crons):
            results += await part(engine)
    return results
