"""No-op jobs drained by one worker process at concurrency 100, and enqueued concurrently."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

from benchmarks.measure import ENGINES, Result, engine_url, median, payload
from benchmarks.yardstick import REFERENCE, Yardstick
from checkmate_queue import Job, QueueManager

JOBS = 20_000
CONCURRENCY = 100
BATCH = 1_000
BARS = {"memory": 40_000, "sqlite": 15_000}


async def fill(manager: QueueManager) -> float:
    """Enqueue all jobs, `BATCH` calls at a time; return the seconds."""
    queue = manager.get_queue("bench")
    started = time.perf_counter()
    for first in range(0, JOBS, BATCH):
        await asyncio.gather(*(queue.enqueue(payload(i)) for i in range(first, first + BATCH)))
    return time.perf_counter() - started


async def drain(manager: QueueManager) -> float:
    """Handle all jobs; return the seconds from the first start until everything is settled."""
    queue = manager.get_queue("bench")
    starts: list[float] = []
    handled = asyncio.Event()

    async def handle(job: Job[object]) -> None:
        starts.append(time.perf_counter())
        if len(starts) == JOBS:
            handled.set()

    consumer = await queue.consume(handle, consumer_group="bench", concurrency=CONCURRENCY)
    await handled.wait()
    while (await queue.get_stats()).completed < JOBS:  # noqa: ASYNC110
        await asyncio.sleep(0.003)
    ended = time.perf_counter()
    await consumer.stop()
    if len(starts) != JOBS:
        raise RuntimeError(f"{len(starts)} deliveries of {JOBS} jobs")
    return ended - starts[0]


async def once(engine: str) -> tuple[float, float]:
    """Jobs per second in and out; the worker has its own process, but for memory, which can't be shared."""
    with engine_url(engine) as url:
        async with QueueManager(url, max_queue_size=None) as manager:
            seconds_in = await fill(manager)
            if engine == "memory":
                return JOBS / seconds_in, JOBS / await drain(manager)
        return JOBS / seconds_in, JOBS / await asyncio.to_thread(in_worker_process, url)


def in_worker_process(url: str) -> float:
    command = [sys.executable, "-m", "benchmarks.drain", url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["seconds"])


async def worker(url: str) -> None:
    async with QueueManager(url) as manager:
        print(json.dumps({"seconds": await drain(manager)}))


async def run(stick: Yardstick, repeats: int) -> list[Result]:
    rates: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    yards = []
    for _ in range(repeats):
        for engine in ENGINES:
            yards.append(stick.measure())
            rates[engine].append(await once(engine))
    scale = median(yards) / REFERENCE
    results = [Result("yardstick", median(yards), "round trips/s")]
    for engine in ENGINES:
        rate_in, rate_out = median([r[0] for r in rates[engine]]), median([r[1] for r in rates[engine]])
        results.append(Result(f"{engine}: enqueue, {BATCH} at once", rate_in, "jobs/s"))
        results.append(
            Result(f"{engine}: drain at concurrency {CONCURRENCY}", rate_out, "jobs/s", BARS[engine] * scale)
        )
    return results


if __name__ == "__main__":
    asyncio.run(worker(sys.argv[1]))
