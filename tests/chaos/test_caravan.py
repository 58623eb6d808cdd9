"""The backend goes from engine to engine under load, and nothing is lost on the way (section 7)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue import Enqueue, QueueManager, SwitchResult
from checkmate_queue.testing.waiting import wait_until
from tests.chaos.caravan import GROUPS, QUEUE
from tests.chaos.ledger import read
from tests.servers.postgres import PostgresStorage
from tests.servers.redis_storage import RedisStorage

ROOT = Path(__file__).parents[2]
PRODUCERS = [f"producer{number}" for number in range(3)]
WORKERS = [f"worker{number}" for number in range(4)]
SCHEDULES = 200
BACKLOG = 10_000
STAY_SECONDS = 15.0


class Caravan:
    """The processes, and what they wrote."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str, names: list[str]) -> None:
        """Start these."""
        for name in names:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.caravan", role, self._url, str(self._folder), name],
                cwd=ROOT,
            )

    def stop(self, names: list[str]) -> None:
        """End these as an operator does."""
        for name in names:
            self._processes[name].terminate()
        for name in names:
            assert self._processes[name].wait(90) == 0, f"{name} did not stop gracefully"

    def kill(self) -> None:
        """Whatever is left."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def said(self, event: str, names: list[str]) -> list[list[str]]:
        """Everything of one kind that these wrote."""
        return [words[1:] for name in names for words in read(self._folder, name) if words[0] == event]

    def has_joined(self) -> bool:
        """Whether all workers consume."""
        return len(self.said("ready", WORKERS)) == len(WORKERS)


@pytest.fixture
def caravan(tmp_path: Path) -> Iterator[Caravan]:
    made = Caravan(f"sqlite:///{tmp_path / 'queue.db'}", tmp_path)
    yield made
    made.kill()


@pytest.mark.full
async def test_nothing_is_lost_on_the_way(
    caravan: Caravan, tmp_path: Path, redis_storage: RedisStorage, postgres_storage: PostgresStorage
) -> None:
    """B1 to B7: SQLite, Redis, PostgreSQL and SQLite again, while seven processes go on."""
    stations: list[tuple[str, dict[str, Any]]] = [
        ("redis", {"url": redis_storage.url, "prefix": redis_storage.prefix}),
        ("postgres", {"url": postgres_storage.url, "schema": postgres_storage.schema}),
        ("sqlite", {"path": str(tmp_path / "queue.db")}),
    ]
    caravan.start("worker", WORKERS)
    await wait_until(caravan.has_joined, description="all workers consume", timeout=60)
    async with QueueManager(f"sqlite:///{tmp_path / 'queue.db'}") as manager:
        queue, store = manager.get_queue(QUEUE), manager.get_queue("backlog")
        for first in range(0, BACKLOG, 1000):
            await store.enqueue_many([Enqueue(n, job_id=f"{n}") for n in range(first, first + 1000)])
        for number in range(SCHEDULES):
            await queue.schedule_recurring(f"s{number}", "plain", interval_seconds=3 + number % 5)
        caravan.start("producer", PRODUCERS)
        for plugin, config in stations:
            await asyncio.sleep(STAY_SECONDS)  # The load is what is being waited for.
            await switch(manager, plugin, config)
        await asyncio.sleep(STAY_SECONDS)
        caravan.stop(PRODUCERS)
        fired = await fired_until_now(manager)
        for number in range(SCHEDULES):
            await queue.cancel_recurring(f"s{number}")

        async def all_is_done() -> bool:
            stats = await queue.get_stats()
            return stats.pending == stats.processing == stats.delayed == 0

        await wait_until(all_is_done, description="everything is done", timeout=90)
        caravan.stop(WORKERS)
        stats = await queue.get_stats()
        assert (stats.failed, stats.expired, stats.unclaimed) == (0, 0, 0)
        assert (await store.get_stats()).unclaimed == BACKLOG
        assert await manager.list_queues() == ["backlog", QUEUE]
    check(caravan, fired)


async def switch(manager: QueueManager, plugin: str, config: dict[str, Any]) -> None:
    before, began = manager.get_active_plugin(), time.monotonic()
    result: SwitchResult = await manager.set_active_backend(plugin, config)
    assert result.success
    assert result.migrated_jobs >= BACKLOG
    assert result.migrated_recurring_jobs == SCHEDULES
    seconds = time.monotonic() - began
    print(
        f"\n{before} to {plugin}, at {began:.1f}: {result.migrated_jobs:,} jobs in {seconds:.2f} s, "
        f"{result.warnings}"
    )


async def fired_until_now(manager: QueueManager) -> dict[str, tuple[int, int]]:
    """Of each schedule, its interval and its next due time, in milliseconds."""
    found = {}
    for number in range(SCHEDULES):
        details = await manager.get_queue(QUEUE).get_recurring_job_details(f"s{number}")
        assert details is not None
        assert details.interval_seconds is not None
        assert details.next_run_at is not None
        found[details.job_id] = (
            round(details.interval_seconds * 1000),
            round(details.next_run_at.timestamp() * 1000),
        )
    return found


def check(caravan: Caravan, schedules: dict[str, tuple[int, int]]) -> None:
    """What the ledgers say."""
    everybody = PRODUCERS + WORKERS
    assert caravan.said("error", everybody) == []
    accepted = {job_id for (job_id,) in caravan.said("accepted", everybody)}
    lost_leases = len(caravan.said("lost", WORKERS))
    twice = 0
    for group in GROUPS:
        ended = Counter(job for owner, job in caravan.said("end", WORKERS) if owner == group)
        assert accepted - set(ended) == set(), "lost"
        starts = Counter(
            (job, attempt) for owner, job, attempt, _ in caravan.said("start", WORKERS) if owner == group
        )
        twice += sum(count - 1 for count in starts.values())
        check_grid(set(ended) - accepted, schedules)
    assert twice == 0 or lost_leases, f"{twice} ran twice, though no lease was lost"
    longest, at = max((float(seconds), float(at)) for seconds, at in caravan.said("longest", PRODUCERS))
    print(
        f"{len(accepted):,} jobs accepted, none lost in either group; {twice} ran twice, "
        f"{lost_leases} leases were lost; the longest pause of a producer was {longest:.2f} s, at {at:.1f}"
    )


def check_grid(occurrences: set[str], schedules: dict[str, tuple[int, int]]) -> None:
    """Each due time is on its schedule's grid, and each schedule went on to the end."""
    dues: dict[str, list[int]] = defaultdict(list)
    for job_id in occurrences:
        name, _, due = job_id.rpartition(":")
        dues[name].append(int(due))
    assert set(dues) == set(schedules)
    for name, (interval, next_at) in schedules.items():
        assert {(next_at - due) % interval for due in dues[name]} == {0}, name
        assert max(dues[name]) >= next_at - 2 * interval, name
        assert len(dues[name]) >= 5, name
