"""Worker processes die by kill -9 in the middle of their work, again and again, and nothing is lost (G7)."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkmate_queue import QueueManager
from checkmate_queue.testing.waiting import wait_until
from tests.chaos.ledger import Stories, read
from tests.chaos.worker import GROUPS, QUEUE

CONCURRENCY = 10
ROOT = Path(__file__).parents[2]


class Crew:
    """Worker processes that the test starts, kills and replaces."""

    def __init__(self, url: str, folder: Path, milliseconds: int) -> None:
        self.url, self.folder, self.milliseconds = url, folder, milliseconds
        self.names: list[str] = []
        self.killed: list[str] = []
        self._numbers = itertools.count(1)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def hire(self) -> None:
        name = f"worker-{next(self._numbers)}"
        arguments = [self.url, str(self.folder), name, str(CONCURRENCY), str(self.milliseconds)]
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker", *arguments], cwd=ROOT
        )
        self.names.append(name)

    async def kill_one_at_work(self) -> None:
        """Kill the oldest worker, at a moment when its ledger shows deliveries in hand."""
        name = next(iter(self._processes))
        process = self._processes[name]

        def frozen_at_work() -> bool:
            assert process.poll() is None, f"{name} had died by itself"
            process.send_signal(signal.SIGSTOP)
            if Stories.read(self.folder, [name]).in_hand(name) > 0:
                return True
            process.send_signal(signal.SIGCONT)
            return False

        await wait_until(frozen_at_work, description=f"{name} at work", timeout=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        del self._processes[name]
        self.killed.append(name)

    async def dismiss(self) -> None:
        for name in self._processes:
            await wait_until(
                lambda: bool(read(self.folder, name)),  # noqa: B023
                description=f"{name} ready",
                timeout=60,
            )
        for process in self._processes.values():
            process.terminate()
        for name, process in self._processes.items():
            assert process.wait(60) == 0, f"{name} did not stop gracefully"

    def end(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(f"sqlite:///{tmp_path / 'queue.db'}", tmp_path, milliseconds=20)
    yield crew
    crew.end()


async def crash(crew: Crew, jobs: int, most_kills: int) -> None:
    """Enqueue, kill a worker every second until most deliveries have ended, wait for the rest; check."""
    for _ in range(3):
        crew.hire()
    async with QueueManager(crew.url) as manager:
        queue = manager.get_queue(QUEUE, int)

        async def registered() -> bool:
            return (await queue.get_stats()).consumer_groups == len(GROUPS)

        async def settled() -> bool:
            stats = await queue.get_stats()
            return stats.pending == stats.processing == stats.delayed == 0

        await wait_until(registered, description="both groups registered", timeout=60)
        for first in range(0, jobs, 500):
            await queue.enqueue_many(range(first, first + 500))
        while (await queue.get_stats()).pending > jobs // 10 and len(crew.killed) < most_kills:
            await crew.kill_one_at_work()
            crew.hire()
            await asyncio.sleep(1)
        await wait_until(settled, description="everything settled", timeout=120)
        stats = await queue.get_stats()
    await crew.dismiss()
    assert (stats.completed, stats.failed, stats.expired, stats.cancelled) == (jobs * len(GROUPS), 0, 0, 0)
    check(crew, jobs)


def check(crew: Crew, jobs: int) -> None:
    stories = Stories.read(crew.folder, crew.names)
    everything = {str(number) for number in range(jobs)}
    assert len(crew.killed) >= 3, "too few kills to show anything"
    for name in crew.killed:
        assert stories.in_hand(name) > 0, f"{name} was killed with nothing in hand"
    for group in GROUPS:
        assert stories.ended(group) == everything
        for name, jobs_again in stories.repeated(group).items():
            # On a machine that stands still for two seconds, a living worker loses its lease, too.
            if name in stories.lost_leases:
                continue
            assert name in crew.killed, f"{name} was not killed, and yet others started {jobs_again}"
            # What ran at the kill, and what had ended and was not settled: together what may run at once.
            assert len(jobs_again) <= CONCURRENCY, f"{name} in {group} held more than it may"
            # And nothing that ran at the kill is forgotten.
            assert stories.of(name, group).in_hand <= jobs_again, f"{name} in {group}: not started again"


async def test_nothing_is_lost_when_workers_are_killed(crew: Crew) -> None:
    """G7: at least once, and again only what was running at a kill."""
    await crash(crew, jobs=5_000, most_kills=4)


@pytest.mark.full
async def test_nothing_is_lost_in_twenty_thousand_jobs_with_a_kill_every_second(crew: Crew) -> None:
    """G7: the same with 20,000 jobs for each of two groups."""
    await crash(crew, jobs=20_000, most_kills=1_000)


def test_a_producer_that_is_killed_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    """J3: what `enqueue` returned an id for is in the queue, whenever the process died."""
    url = f"sqlite:///{tmp_path / 'queue.db'}"
    for round_number in range(5):
        producer = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.producer", url, str(tmp_path), str(round_number)], cwd=ROOT
        )
        try:
            accepted_enough(tmp_path, producer)
        finally:
            producer.kill()
            producer.wait()
    accepted = {job_id for _, job_id in read(tmp_path, "producer")}
    found = asyncio.run(ids_in(url))
    assert accepted <= found
    # What was under way at a kill may be there, too: at most one batch of callers each time.
    assert len(found - accepted) <= 5 * 50


def accepted_enough(folder: Path, producer: subprocess.Popen[bytes]) -> None:
    """Return while the producer is in the middle of its work."""
    before = len(read(folder, "producer"))

    async def more() -> None:
        await wait_until(
            lambda: len(read(folder, "producer")) > before + 300, description="jobs accepted", timeout=60
        )

    asyncio.run(more())
    assert producer.poll() is None, "the producer died by itself"


async def ids_in(url: str) -> set[str]:
    found: list[str] = []
    async with QueueManager(url) as manager:
        queue = manager.get_queue(QUEUE)
        while page := await queue.list_jobs(limit=1_000, after=found[-1] if found else None):
            found += [job.id for job in page]
    return set(found)
