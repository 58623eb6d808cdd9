"""A page of jobs in one state costs what it costs, whatever else the queue holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from checkmate_queue.backends.sqlite import SqliteStore, inspect
from checkmate_queue.backends.sqlite.connection import connect
from checkmate_queue.backends.sqlite.transaction import Transaction
from checkmate_queue.core.model import (
    Claim,
    Epoch,
    Exchange,
    GroupJoin,
    JobRecord,
    JobState,
    NewJob,
    RetryLater,
    Settlement,
    StoreLimits,
)
from checkmate_queue.store import BATCH
from checkmate_queue.testing.clock import TravellingClock

QUEUE = "queue"
GROUPS = ("g", "h")
LEASE_MS = 30_000
HOUR_MS = 3_600_000
FEW = 20
SIZE = 10

STATES: tuple[JobState, ...] = ("delayed", "unclaimed", "pending", "processing", "retrying")


class Filler:
    """Puts jobs into the states that they are to have, one after the other."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._exchanges = Counter[str]()
        self._added = 0

    async def fill(self, state: JobState, count: int) -> None:
        """Add so many jobs in this state, after all others."""
        for first in range(0, count, BATCH):
            await self._add(state, min(BATCH, count - first))

    async def _add(self, state: JobState, count: int) -> None:
        delay = HOUR_MS if state == "delayed" else 0
        names = [f"{self._added + number}" for number in range(count)]
        self._added += count
        await self._store.add(QUEUE, [[NewJob(name, b"1", delay_ms=delay) for name in names]])
        if state in ("processing", "retrying"):
            await self._take(state, count)

    async def _take(self, state: JobState, count: int) -> None:
        for group in GROUPS:
            claims = await self.claim(group, count)
            assert len(claims) == count
            if state == "retrying":
                later = [RetryLater(claim.key, HOUR_MS) for claim in claims]
                await self._exchange(group, later, 0)

    async def claim(self, group: str, count: int) -> Sequence[Claim]:
        """Claim what is first."""
        return (await self._exchange(group, (), count)).claims

    async def _exchange(self, group: str, settlements: Sequence[Settlement], want: int) -> Exchange:
        epoch = await self.register()
        self._exchanges[group] += 1
        return await self._store.exchange(epoch, group, self._exchanges[group], settlements, want)

    async def register(self) -> Epoch:
        """Have groups; without any, jobs are unclaimed."""
        return await self._store.join(QUEUE, "w", [GroupJoin(group) for group in GROUPS], LEASE_MS)


class File:
    """A store and its file."""

    def __init__(self, path: Path, clock: TravellingClock) -> None:
        self.path = path
        self.clock = clock
        self.store = SqliteStore(path, clock=clock, limits=StoreLimits())
        self.filler = Filler(self.store)

    def steps(self, state: JobState | None, after: int = 0, size: int = SIZE) -> tuple[int, list[JobRecord]]:
        """How many steps SQLite's machine takes for a page, and what stands on it."""
        taken = 0

        def count() -> int:
            nonlocal taken
            taken += 1
            return 0

        with closing(connect(str(self.path), "NORMAL", 0)) as connection:
            connection.execute("BEGIN")
            connection.set_progress_handler(count, 1)
            transaction = Transaction(connection, self.clock, StoreLimits(), "")
            page = inspect.jobs(transaction, QUEUE, state, after, size)
        return taken, page


Make = Callable[[str], File]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    files: list[File] = []

    def one(name: str) -> File:
        files.append(File(tmp_path / name, TravellingClock()))
        return files[-1]

    yield one
    for file in files:
        await file.store.close()


async def filled(make: Make, wanted: JobState, other: JobState, others: int, *, before: bool) -> File:
    """A few jobs in one state, and others in another one, before or behind them."""
    file = make(f"{others}.db")
    await file.store.open()
    await file.store.register(QUEUE)
    if "unclaimed" not in (wanted, other):
        await file.filler.register()
    if before:
        await file.filler.fill(other, others)
    await file.filler.fill(wanted, FEW)
    if not before:
        await file.filler.fill(other, others)
    return file


def pairs() -> list[tuple[JobState, JobState, bool]]:
    """Of which states a queue can hold jobs, and whether others come before those that are wanted."""
    return [
        (wanted, other, before)
        for wanted in STATES
        for other in STATES
        for before in (True, False)
        if wanted != other
        and ("unclaimed" not in (wanted, other) or "delayed" in (wanted, other))
        # What is claimed is what was ready first.
        and ((other, wanted) if before else (wanted, other))
        not in (("pending", "processing"), ("pending", "retrying"))
    ]


@pytest.mark.parametrize(("wanted", "other", "before"), pairs())
async def test_jobs_in_other_states_cost_a_page_nothing(
    make: Make, wanted: JobState, other: JobState, before: bool
) -> None:
    costs = []
    for others in (2000, 6000):
        file = await filled(make, wanted, other, others, before=before)
        first, page = file.steps(wanted)
        assert [record.state for record in page] == [wanted] * SIZE
        second, following = file.steps(wanted, page[-1].key)
        assert len({record.key for record in (*page, *following)}) == FEW
        last, rest = file.steps(wanted, following[-1].key)
        assert rest == []
        costs.append((first, second, last))
    assert costs[0] == costs[1]


@pytest.mark.parametrize("state", STATES)
async def test_many_jobs_in_a_state_cost_its_pages_nothing(make: Make, state: JobState) -> None:
    costs = []
    for count in (2000, 6000):
        file = await filled(make, state, state, count, before=True)
        first, page = file.steps(state)
        second, _ = file.steps(state, page[-1].key)
        costs.append((first, second))
    assert costs[0] == costs[1]


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_pages_by_state_are_the_whole_list_cut_up(make: Make, size: int) -> None:
    """Where states alternate in short and long runs, and a job has another state in each group."""
    file = make("mixed.db")
    await file.store.open()
    await file.store.register(QUEUE)
    await file.filler.register()
    runs: list[tuple[JobState, int]] = [
        *(("retrying", 3), ("delayed", 700), ("processing", 2), ("retrying", 600), ("delayed", 1)),
        *(("pending", 3), ("delayed", 550), ("pending", 40)),
    ]
    for state, count in runs:
        await file.filler.fill(state, count)
    assert len(await file.filler.claim("g", 5)) == 5
    _, everything = file.steps(None, size=10_000)
    assert len(everything) == sum(count for _, count in runs)
    for state in STATES:
        listed: list[JobRecord] = []
        while page := file.steps(state, listed[-1].key if listed else 0, size)[1]:
            assert len(page) <= size
            listed += page
            if len(listed) > 60 and size == 1:
                break
        of_state = [each for each in everything if each.state == state or state in each.groups.values()]
        assert listed == of_state[: len(listed)]
        assert len(listed) == len(of_state) or size == 1
