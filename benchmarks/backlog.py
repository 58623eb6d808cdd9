"""Enqueue and drain with 100,000 jobs pending against an empty queue, interleaved."""

from __future__ import annotations

import asyncio
import time

from benchmarks.measure import ENGINES, Result, engine_url, median, payload
from benchmarks.yardstick import Yardstick
from checkmate_queue import Job, Queue, QueueManager

BACKLOG = 100_000
PORTION = 10_000
BATCH = 1_000
BAR = 0.85


async def fill(queue: Queue[object], jobs: int) -> float:
    """Enqueue, one call a job, `BATCH` calls at a time; return jobs per second."""
    started = time.perf_counter()
    for first in range(0, jobs, BATCH):
        await asyncio.gather(*(queue.enqueue(payload(i)) for i in range(first, first + BATCH)))
    return jobs / (time.perf_counter() - started)


async def drain(queue: Queue[object], jobs: int) -> float:
    """Handle this many jobs at concurrency 100; return jobs per second."""
    handled = 0
    enough = asyncio.Event()

    async def handle(job: Job[object]) -> None:
        nonlocal handled
        handled += 1
        if handled == jobs:
            enough.set()

    started = time.perf_counter()
    consumer = await queue.consume(handle, consumer_group="bench", concurrency=100)
    await enough.wait()
    rate = jobs / (time.perf_counter() - started)
    await consumer.stop()
    return rate


async def compare(engine: str, repeats: int) -> list[Result]:
    with engine_url(engine) as empty_url, engine_url(engine) as full_url:
        async with (
            QueueManager(empty_url, max_queue_size=None) as empty,
            QueueManager(full_url, max_queue_size=None) as full,
        ):
            queues = (empty.get_queue("bench"), full.get_queue("bench"))
            for queue in queues:
                await fill(queue, PORTION)
                await drain(queue, PORTION)
            await fill(queues[1], BACKLOG)
            ins: list[float] = []
            outs: list[float] = []
            for _ in range(repeats):
                rates_in = [await fill(queue, PORTION) for queue in queues]
                rates_out = [await drain(queue, PORTION) for queue in queues]
                ins.append(rates_in[1] / rates_in[0])
                outs.append(rates_out[1] / rates_out[0])
    return [
        Result(f"{engine}: enqueue, {BACKLOG:,} pending against empty", median(ins), "ratio", BAR),
        Result(f"{engine}: drain, {BACKLOG:,} pending against empty", median(outs), "ratio", BAR),
    ]


async def run(stick: Yardstick, repeats: int) -> list[Result]:
    return [result for engine in ENGINES for result in await compare(engine, repeats)]
