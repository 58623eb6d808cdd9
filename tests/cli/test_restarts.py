"""Workers that are restarted again and again under load lose nothing and run nothing twice (L1)."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter

import pytest

from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import PATIENCE, Site

BATCH = 20
MOST_WAITING = 400


async def restart(site: Site, times: int) -> None:
    """Restart a worker so often while jobs come in, then let one finish; compare what was stored and run."""
    enough = asyncio.Event()
    stored: list[str] = []

    async with site.manager() as manager:
        work = manager.get_queue("work")

        async def load() -> None:
            for number in itertools.count():
                if enough.is_set():
                    return
                if (await work.get_stats()).pending < MOST_WAITING:
                    for each in range(BATCH):
                        stored.append(
                            await work.enqueue(
                                0.001 * (each % 50), job_id=f"{number}-{each}", priority=each % 3
                            )
                        )
                else:
                    await asyncio.sleep(0.05)

        loading = asyncio.create_task(load())
        for turn in range(times):
            with site.worker() as worker:
                done = len(site.noted("start"))
                await wait_until(
                    lambda: len(site.noted("start")) > done + BATCH,  # noqa: B023
                    description="it works",
                    timeout=PATIENCE,
                )
                worker.signal(signal.SIGTERM if turn % 2 else signal.SIGINT)
                assert await worker.ended() == 0, worker.said
        enough.set()
        await loading

        async def finished() -> bool:
            return (await work.get_stats()).completed == len(stored)

        with site.worker():
            await wait_until(finished, description="all is done", timeout=PATIENCE)
        stats = await work.get_stats()
    assert (stats.pending, stats.processing, stats.failed, stats.expired, stats.cancelled) == (0, 0, 0, 0, 0)
    for what in ("start", "end"):
        assert Counter(site.noted(what)) == Counter(stored)


async def test_restarts_under_load_lose_nothing(site: Site) -> None:
    await restart(site, 4)


@pytest.mark.full
async def test_a_hundred_restarts_under_load_lose_nothing(site: Site) -> None:
    await restart(site, 100)
