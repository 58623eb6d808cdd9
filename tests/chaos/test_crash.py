"""Worker processes die by kill -9 in the middle of their work, again and again, and nothing is lost (G7)."""

from __future__ import annotations

import asyncio
import itertools
import math
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from checkmate_queue import BackendUnavailableError, Queue, QueueManager, QueueStats
from checkmate_queue.testing.waiting import wait_until
from tests.chaos.ledger import Stories, read
from tests.chaos.worker import GROUPS, QUEUE

CONCURRENCY = 10
STEP = 100
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


@dataclass
class Production:
    """What a producer was told: numbers in the order in which they were accepted."""

    accepted: list[int] = field(default_factory=list)
    doubtful: set[int] = field(default_factory=set)
    """Of an enqueue that broke, and was repeated: they may run twice."""
    seconds_between: float = 0

    async def run(self, queue: Queue[int], jobs: int) -> None:
        """Enqueue so many more, whatever happens to the backend."""
        for first in range(len(self.accepted), len(self.accepted) + jobs, STEP):
            numbers = range(first, first + STEP)
            accepted = False
            while not accepted:
                try:
                    await queue.enqueue_many(numbers)
                    accepted = True
                except BackendUnavailableError:
                    self.doubtful.update(numbers)
            self.accepted += numbers
            await asyncio.sleep(self.seconds_between)


async def crash(crew: Crew, jobs: int, kills: int | None = None) -> None:
    """Enqueue, kill a worker every second until most deliveries have ended, wait for the rest; check.

    With a number of kills, it ends with the last of them, and a fast machine gets more jobs until then.
    """
    production = Production()

    def more() -> bool:
        return kills is None or len(crew.killed) < kills

    async with employed(crew) as queue:
        while not production.accepted or (kills is not None and more()):
            await production.run(queue, jobs)
            await kill_and_replace(crew, queue, jobs // 10, more)
        stats = await settled(queue)
    ended = len(production.accepted) * len(GROUPS)
    assert (stats.completed, stats.failed, stats.expired, stats.cancelled) == (ended, 0, 0, 0)
    assert check(crew, production) == set()


@asynccontextmanager
async def employed(crew: Crew) -> AsyncIterator[Queue[int]]:
    """Three workers at work, who stop gracefully at the end."""
    for _ in range(3):
        crew.hire()
    async with QueueManager(crew.url) as manager:
        queue = manager.get_queue(QUEUE, int)

        async def registered() -> bool:
            return (await queue.get_stats()).consumer_groups == len(GROUPS)

        await wait_until(registered, description="both groups registered", timeout=60)
        yield queue
    await crew.dismiss()


async def kill_and_replace(crew: Crew, queue: Queue[int], enough: int, more: Callable[[], bool]) -> None:
    """Kill a worker every second while there is more, and until so few deliveries wait."""

    async def waiting() -> float:
        try:
            return (await queue.get_stats()).pending
        except BackendUnavailableError:
            return math.inf

    while more() and await waiting() > enough:
        await crew.kill_one_at_work()
        crew.hire()
        await asyncio.sleep(1)


async def settled(queue: Queue[int]) -> QueueStats:
    """The numbers once nothing is left to do."""

    async def done() -> bool:
        stats = await queue.get_stats()
        return stats.pending == stats.processing == stats.delayed == 0

    await wait_until(done, description="everything settled", timeout=120)
    return await queue.get_stats()


def check(crew: Crew, production: Production, *, forgetful: bool = False) -> set[int]:
    """Nothing ran again but what may have been running at a kill; returns what was accepted and never ran.

    A forgetful server may have lost its last moments: then more may run again.
    """
    stories = Stories.read(crew.folder, crew.names)
    everything = set(map(str, production.accepted))
    doubtful = set(map(str, production.doubtful))
    assert len(crew.killed) >= 3, "too few kills to show anything"
    for name in crew.killed:
        assert stories.in_hand(name) > 0, f"{name} was killed with nothing in hand"
    lost: set[str] = set()
    for group in GROUPS:
        ended = stories.ended(group)
        assert ended <= everything
        lost |= everything - ended
        for name, repeated in stories.repeated(group).items():
            # On a machine that stands still for two seconds, a living worker loses its lease, too.
            if name in stories.lost_leases:
                continue
            # Nothing that ran at the kill is forgotten.
            in_hand = stories.of(name, group).in_hand if name in crew.killed else set()
            assert in_hand <= repeated | doubtful | lost, f"{name} in {group}: not started again"
            jobs_again = repeated - doubtful
            if forgetful or not jobs_again:
                continue
            assert name in crew.killed, f"{name} was not killed, and yet others started {jobs_again}"
            # What ran at the kill, and what had ended and was not settled: together what may run at once.
            assert len(jobs_again) <= CONCURRENCY, f"{name} in {group} held more than it may"
    return {int(number) for number in lost}


async def test_nothing_is_lost_when_workers_are_killed(crew: Crew) -> None:
    """G7: at least once, and again only what was running at a kill."""
    await crash(crew, jobs=5_000, kills=4)


@pytest.mark.full
async def test_nothing_is_lost_in_twenty_thousand_jobs_with_a_kill_every_second(crew: Crew) -> None:
    """G7: the same with 20,000 jobs for each of two groups."""
    await crash(crew, jobs=20_000)


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
