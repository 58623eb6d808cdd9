"""What one step of PostgreSQL's may touch is bounded in deliveries, however many groups a queue has.

The transaction that wrote a row is in the row: how many deliveries have the same tells the size of its step.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Added, Firing, GroupJoin, NewJob, NewSchedule, StoreLimits
from checkmate_queue.store import BATCH
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

HOUR = 3_600_000
GROUPS = [f"group {number:02}" for number in range(40)]
JOBS = 200
UNITS = 140
STEP = 5000
"""About as many deliveries as one step may make."""


@pytest.fixture
def clock() -> TravellingClock:
    """The engine's clock."""
    return TravellingClock()


@pytest.fixture
async def store(postgres_storage: PostgresStorage, clock: TravellingClock) -> AsyncIterator[PostgresStore]:
    """A store that knows a queue."""
    store = await postgres_storage.connect(clock)
    await store.open()
    await store.register("q")
    yield store
    await store.close()


def _jobs(delay_ms: int = 0) -> list[NewJob]:
    return [NewJob(f"job {number:03}", b"{}", delay_ms=delay_ms) for number in range(JOBS)]


def _joins(names: list[str], earliest: bool = False) -> list[GroupJoin]:
    return [GroupJoin(name, start_from="earliest" if earliest else "now") for name in names]


async def _largest(storage: PostgresStorage) -> int:
    """How many deliveries one transaction has written."""
    connection = await asyncpg.connect(storage.url)
    try:
        query = f'SELECT max(n) FROM (SELECT count(*) AS n FROM "{storage.schema}".delivery GROUP BY xmin) d'
        largest: int = await connection.fetchval(query)
    finally:
        await connection.close()
    return largest


async def _assert_bounded(storage: PostgresStorage, store: PostgresStore, jobs: int = JOBS) -> None:
    assert (await store.stats("q")).pending == jobs * len(GROUPS)
    assert 0 < await _largest(storage) <= STEP + len(GROUPS)


async def test_due_jobs(
    postgres_storage: PostgresStorage, store: PostgresStore, clock: TravellingClock
) -> None:
    """G1, J5: all that is due is fanned out before a claim, in due order, batch by batch."""
    epoch = await store.join("q", "w", _joins(GROUPS), 9 * HOUR)
    await store.add("q", [_jobs(delay_ms=1000)])
    clock.advance(1)
    await store.exchange(epoch, GROUPS[0], 1, [], 0)
    await _assert_bounded(postgres_storage, store)
    claims = (await store.exchange(epoch, GROUPS[-1], 1, [], JOBS)).claims
    assert [claim.job_id for claim in claims] == [job.id for job in _jobs()]


@pytest.mark.parametrize("limit", [None, 2 * JOBS], ids=["unlimited", "limited"])
async def test_a_large_unit(
    postgres_storage: PostgresStorage, clock: TravellingClock, limit: int | None
) -> None:
    """J5, J7: it is stored at once, and is ready in the order of the calls when `add` returns."""
    store = await postgres_storage.connect(clock, StoreLimits(max_queue_size=limit))
    await store.open()
    try:
        await store.register("q")
        epoch = await store.join("q", "w", _joins(GROUPS), 9 * HOUR)
        assert await store.add("q", [_jobs()]) == [[Added(job.id, True) for job in _jobs()]]
        await _assert_bounded(postgres_storage, store)
        again = await store.add("q", [[NewJob("job 000", b"{}"), NewJob("last", b"{}")]])
        assert again == [[Added("job 000", False), Added("last", True)]]
        claims = (await store.exchange(epoch, GROUPS[7], 1, [], JOBS + 1)).claims
        assert [claim.job_id for claim in claims] == [*(job.id for job in _jobs()), "last"]
    finally:
        await store.close()


async def test_many_units_under_a_limit(postgres_storage: PostgresStorage, clock: TravellingClock) -> None:
    """J5, J8: units of different callers share a step, and keep their order."""
    store = await postgres_storage.connect(clock, StoreLimits(max_queue_size=UNITS - 1))
    await store.open()
    try:
        await store.register("q")
        epoch = await store.join("q", "w", _joins(GROUPS), 9 * HOUR)
        answers = await store.add("q", [[job] for job in _jobs()[:UNITS]])
        assert [isinstance(answer, list) for answer in answers] == [True] * (UNITS - 1) + [False]
        await _assert_bounded(postgres_storage, store, UNITS - 1)
        claims = (await store.exchange(epoch, GROUPS[3], 1, [], UNITS)).claims
        assert [claim.job_id for claim in claims] == [job.id for job in _jobs()[: UNITS - 1]]
    finally:
        await store.close()


async def test_what_transactions_committed(postgres_storage: PostgresStorage, store: PostgresStore) -> None:
    """J5: a large commit is fanned out batch by batch, before what is added after it."""
    epoch = await store.join("q", "w", _joins(GROUPS), 9 * HOUR)
    connection = await asyncpg.connect(postgres_storage.url)
    try:
        async with connection.transaction():
            await store.add_within(connection, "q", _jobs())
    finally:
        await connection.close()
    await store.add("q", [[NewJob("last", b"{}")]])
    await _assert_bounded(postgres_storage, store, JOBS + 1)
    claims = (await store.exchange(epoch, GROUPS[0], 1, [], JOBS + 1)).claims
    assert [claim.job_id for claim in claims] == [*(job.id for job in _jobs()), "last"]


async def test_a_fence_after_a_large_commit(postgres_storage: PostgresStorage, store: PostgresStore) -> None:
    """B3: what was committed is in the store when it returns, taken in batch by batch."""
    connection = await asyncpg.connect(postgres_storage.url)
    try:
        async with connection.transaction():
            jobs = [NewJob(f"job {number}", b"{}") for number in range(3 * BATCH)]
            await store.add_within(connection, "q", jobs)
        await store.fence("q", "elsewhere")
        left = await connection.fetchval(f'SELECT count(*) FROM "{postgres_storage.schema}".inbox')
    finally:
        await connection.close()
    assert (left, (await store.stats("q")).unclaimed) == (0, 3 * BATCH)
    assert await _largest(postgres_storage) <= BATCH


@pytest.mark.parametrize("earliest", [False, True], ids=["unclaimed", "earliest"])
async def test_what_a_join_owes(
    postgres_storage: PostgresStorage, store: PostgresStore, earliest: bool
) -> None:
    """G2, G3: groups that join together get what waits, batch by batch and in order."""
    if earliest:
        await store.join("q", "first", _joins(GROUPS[:1]), 9 * HOUR)
    await store.add("q", [_jobs()])
    epoch = await store.join("q", "w", _joins(GROUPS, earliest), 9 * HOUR)
    await _assert_bounded(postgres_storage, store)
    claims = (await store.exchange(epoch, GROUPS[-1], 1, [], JOBS)).claims
    assert [claim.job_id for claim in claims] == [job.id for job in _jobs()]


@pytest.mark.parametrize("overlap", [False, True])
async def test_schedules_that_fire_together(
    postgres_storage: PostgresStorage, store: PostgresStore, clock: TravellingClock, overlap: bool
) -> None:
    """R3: each makes its job once, however many fire in one call."""
    await store.join("q", "w", _joins(GROUPS), 9 * HOUR)
    specs = [NewSchedule(f"s{n:03}", b"1", "d", "t", clock(), overlap=overlap) for n in range(JOBS)]
    stored = [await store.put_schedule("q", spec) for spec in specs]
    firings = [Firing(each.spec.id, each.revision, clock(), clock() + HOUR, (clock(),)) for each in stored]
    assert await store.fire("q", firings) == [True] * JOBS
    await _assert_bounded(postgres_storage, store)
    assert await store.fire("q", firings) == [False] * JOBS


async def test_a_schedule_that_missed_much(
    postgres_storage: PostgresStorage, store: PostgresStore, clock: TravellingClock
) -> None:
    """R5: `misfire="all"` makes a job for each due time, in their order."""
    epoch = await store.join("q", "w", _joins(GROUPS), 9 * HOUR)
    spec = NewSchedule("s", b"1", "d", "t", clock(), misfire="all")
    schedule = await store.put_schedule("q", spec)
    due = tuple(clock() + number for number in range(JOBS))
    assert await store.fire("q", [Firing("s", schedule.revision, due[0], due[-1] + HOUR, due)]) == [True]
    claims = (await store.exchange(epoch, GROUPS[0], 1, [], JOBS)).claims
    assert [claim.job_id for claim in claims] == [f"s:{at}" for at in due]
    (stored,) = await store.schedules("q")
    assert stored.last_run_at == due[-1]
    assert await _largest(postgres_storage) <= STEP + len(GROUPS)
