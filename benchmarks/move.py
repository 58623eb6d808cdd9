"""A million jobs from SQLite to Redis by a switch of the backend: how fast, and what it takes in memory."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean

from uuid_utils import uuid7

from benchmarks.measure import Result
from benchmarks.yardstick import REFERENCE, Yardstick
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.model import GroupJoin, NewJob

JOBS = 1_000_000
BATCH = 1_000
LEASE_MS = 3_600_000
PAYLOAD = b'"' + b"x" * 98 + b'"'
JOBS_PER_SECOND = 20_000
"""Where the yardstick gives its reference."""
MOST_MEGABYTES = 200
PAUSE_SECONDS = 3.0
"""Between two looks at the yardstick: the machine may be busier now than it was before."""


async def fill(path: Path) -> None:
    """Jobs with generated ids, ready in one group."""
    store = SqliteStore(path)
    await store.open()
    try:
        await store.register("bench")
        await store.join("bench", "worker", [GroupJoin("bench")], LEASE_MS)
        for _ in range(0, JOBS, BATCH):
            await store.add("bench", [[NewJob(str(uuid7()), PAYLOAD) for _ in range(BATCH)]])
    finally:
        await store.close()


async def move(path: Path, stick: Yardstick) -> tuple[dict[str, float], float]:
    """Switch in a process of its own; what that measured of itself, and the yardstick meanwhile."""
    target = {"url": f"redis://127.0.0.1:{stick.port}", "prefix": f"move-{uuid7()}"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.moving_process", f"sqlite:///{path}", json.dumps(target)),
        stdout=asyncio.subprocess.PIPE,
    )
    answering = asyncio.create_task(process.communicate())
    round_trips = []
    while not answering.done():
        round_trips.append(await asyncio.to_thread(stick.measure))
        await asyncio.wait([answering], timeout=PAUSE_SECONDS)
    answer, _ = await answering
    if process.returncode:
        raise RuntimeError(f"the moving process ended with {process.returncode}")
    measured: dict[str, float] = json.loads(answer)
    return measured, mean(round_trips)


async def run(stick: Yardstick, repeats: int) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="checkmate-bench-") as folder:
        path = Path(folder) / "queue.db"
        await fill(path)
        measured, round_trips = await move(path, stick)
    if measured["jobs"] != JOBS:
        raise RuntimeError(f"{measured['jobs']:.0f} jobs arrived instead of {JOBS}")
    name = f"{JOBS:,} jobs from SQLite to Redis"
    return [
        Result("yardstick meanwhile", round_trips, "round trips/s"),
        Result(name, JOBS / measured["seconds"], "jobs/s", JOBS_PER_SECOND * round_trips / REFERENCE),
        Result(f"{name}: processor time", 1e6 * measured["cpu_seconds"] / JOBS, "µs/job"),
        Result(f"{name}: memory above idle", measured["megabytes"], "MB", MOST_MEGABYTES, at_most=True),
    ]
