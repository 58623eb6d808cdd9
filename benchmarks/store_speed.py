"""`python -m benchmarks.store_speed [sqlite memory] [--backlog N]`: how fast a store is by itself.

One group, one worker, payloads of 100 bytes, one call after the other; the median of several rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from uuid_utils import uuid7

from benchmarks.measure import median
from benchmarks.yardstick import yardstick
from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.model import Done, Epoch, GroupJoin, NewJob, Settlement
from checkmate_queue.store import Store

QUEUE = "bench"
GROUP = "bench"
LEASE_MS = 3_600_000
ROUNDS = 7
CALLS = {1: 500, 10: 100, 100: 40}
PAYLOAD = b'"' + b"x" * 98 + b'"'


class Bench:
    """A store with a worker that exchanges."""

    def __init__(self, store: Store, epoch: Epoch) -> None:
        self._store = store
        self._epoch = epoch
        self._exchanges = 0
        self._settlements: list[Settlement] = []

    async def fill(self, backlog: int) -> None:
        """Add jobs that stay."""
        for _ in range(0, backlog, 1000):
            await self._store.add(QUEUE, [new_jobs(1000)])

    async def add(self, size: int) -> float:
        """Jobs per second on their way in, so many a call."""
        units = [new_jobs(size) for _ in range(CALLS[size])]
        started = time.perf_counter()
        for unit in units:
            await self._store.add(QUEUE, [unit])
        return size * len(units) / (time.perf_counter() - started)

    async def exchange(self, size: int) -> float:
        """Jobs per second on their way out, so many settled and claimed a call."""
        started = time.perf_counter()
        for _ in range(CALLS[size]):
            self._exchanges += 1
            answer = await self._store.exchange(self._epoch, GROUP, self._exchanges, self._settlements, size)
            self._settlements = [Done(claim.key) for claim in answer.claims]
        return size * CALLS[size] / (time.perf_counter() - started)


def new_jobs(count: int) -> list[NewJob]:
    return [NewJob(str(uuid7()), PAYLOAD) for _ in range(count)]


async def measure(store: Store, backlog: int) -> dict[str, float]:
    """Jobs per second by what was done."""
    await store.open()
    try:
        await store.register(QUEUE)
        bench = Bench(store, await store.join(QUEUE, "worker", [GroupJoin(GROUP)], LEASE_MS))
        await bench.fill(backlog)
        rates: dict[str, float] = {}
        for size in CALLS:
            rates |= await _of_size(bench, size)
        return rates
    finally:
        await store.close()


async def _of_size(bench: Bench, size: int) -> dict[str, float]:
    steps: dict[str, Callable[[int], Awaitable[float]]] = {
        f"add {size} a call": bench.add,
        f"exchange {size} a call": bench.exchange,
    }
    rounds = [{name: await step(size) for name, step in steps.items()} for _ in range(ROUNDS)]
    return {name: median([each[name] for each in rounds]) for name in steps}


async def measure_engine(engine: str, backlog: int) -> dict[str, float]:
    if engine == "memory":
        return await measure(MemoryStore(), backlog)
    with tempfile.TemporaryDirectory(prefix="checkmate-bench-") as folder:
        return await measure(SqliteStore(Path(folder) / "queue.db"), backlog)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_speed", description=__doc__)
    parser.add_argument(
        "engines", nargs="*", default=["sqlite", "memory"], help="sqlite, memory (default: both)"
    )
    parser.add_argument(
        "--backlog", type=int, default=0, help="jobs that are pending all the while (default: 0)"
    )
    options = parser.parse_args()
    with yardstick() as stick:
        round_trips = stick.measure()
    columns = {engine: asyncio.run(measure_engine(engine, options.backlog)) for engine in options.engines}
    drawn = Table("jobs/s", *columns, title=f"{options.backlog:,} pending; yardstick {round_trips:,.0f}/s")
    for name in next(iter(columns.values())):
        drawn.add_row(name, *(f"{rates[name]:,.0f}" for rates in columns.values()))
    Console(width=100).print(drawn)


if __name__ == "__main__":
    main()
