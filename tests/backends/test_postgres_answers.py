"""What PostgreSQL answers is bounded in bytes: large payloads come part by part, in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Fail, Failure, GroupJoin, LapseSettlement, NewJob, NewSchedule
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

HOUR = 3_600_000
MIB = 1 << 20
JOBS = [NewJob(f"job {number:02}", bytes([number]) * MIB) for number in range(12)]
PAYLOADS = [(job.id, job.data) for job in JOBS]
MOST = 5 * MIB
"""One answer holds about 4 MiB of payload: one more payload at most."""


@pytest.fixture
def clock() -> TravellingClock:
    """The engine's clock."""
    return TravellingClock()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes the answers have held, one by one."""
    sizes: list[int] = []
    fetch = asyncpg.Connection.fetch

    async def watch(connection: Any, query: str, *arguments: Any, **options: Any) -> list[asyncpg.Record]:
        rows = await fetch(connection, query, *arguments, **options)
        sizes.append(sum(_weight(value) for row in rows for value in row.values()))
        return rows

    monkeypatch.setattr(asyncpg.Connection, "fetch", watch)
    return sizes


@pytest.fixture
async def store(
    postgres_storage: PostgresStorage, clock: TravellingClock, answers: list[int]
) -> AsyncIterator[PostgresStore]:
    """A store that knows a queue with large jobs in it."""
    store = await postgres_storage.connect(clock)
    await store.open()
    await store.register("q")
    for job in JOBS:
        await store.add("q", [[job]])
    answers.clear()
    yield store
    await store.close()


def _weight(value: object) -> int:
    match value:
        case bytes():
            return len(value)
        case list():
            return sum(map(_weight, value))
        case _:
            return 0


async def test_claims(store: PostgresStore, answers: list[int]) -> None:
    """J5: a claim takes all that was wanted, also when it is repeated."""
    epoch = await store.join("q", "w", [GroupJoin("g")], HOUR)
    for _ in range(2):
        claims = (await store.exchange(epoch, "g", 1, [], len(JOBS))).claims
        assert [(claim.job_id, claim.data) for claim in claims] == PAYLOADS
    assert max(answers) <= MOST


async def test_claims_that_lapsed(store: PostgresStore, clock: TravellingClock, answers: list[int]) -> None:
    """G7: a tick hands them out in their order, and says that there are more."""
    epoch = await store.join("q", "dead", [GroupJoin("g")], 1000)
    await store.exchange(epoch, "g", 1, [], len(JOBS))
    heir = await store.join("q", "heir", [GroupJoin("g")], HOUR)
    for _ in range(4):
        clock.advance(0.4)
        await store.heartbeat(heir)
    found: list[tuple[str, bytes]] = []
    settled: list[LapseSettlement] = []
    more = True
    while more:
        tick = await store.tick(heir, settled)
        found += [(lapsed.claim.job_id, lapsed.claim.data) for lapsed in tick.lapsed]
        failure = Failure("stalled", "", "")
        settled = [LapseSettlement("g", Fail(each.claim.key, failure, False)) for each in tick.lapsed]
        more = tick.more
    assert found == PAYLOADS
    assert max(answers) <= MOST


async def test_lists_of_jobs(store: PostgresStore, answers: list[int]) -> None:
    """They are whole, up to their limit."""
    await store.join("q", "w", [GroupJoin("g")], HOUR)
    assert [(job.id, job.data) for job in await store.jobs("q")] == PAYLOADS
    assert [(job.id, job.data) for job in await store.jobs("q", "pending", limit=7)] == PAYLOADS[:7]
    assert max(answers) <= MOST


async def test_lists_of_jobs_that_transactions_committed(
    postgres_storage: PostgresStorage, store: PostgresStore, answers: list[int]
) -> None:
    """They come last."""
    connection = await asyncpg.connect(postgres_storage.url)
    try:
        async with connection.transaction():
            await store.add_within(connection, "q", [NewJob(f"own {job.id}", job.data) for job in JOBS])
    finally:
        await connection.close()
    expected = [*PAYLOADS, *((f"own {job.id}", job.data) for job in JOBS)]
    assert [(job.id, job.data) for job in await store.jobs("q")] == expected
    assert max(answers) <= MOST


async def test_lists_of_failed_jobs(store: PostgresStore, answers: list[int]) -> None:
    """F4: the newest come first."""
    epoch = await store.join("q", "w", [GroupJoin("g")], HOUR)
    claims = (await store.exchange(epoch, "g", 1, [], len(JOBS))).claims
    failure = Failure("ValueError", "no", "")
    await store.exchange(epoch, "g", 2, [Fail(claim.key, failure, True) for claim in claims], 0)
    expected = PAYLOADS[::-1]
    assert [(entry.job_id, entry.data) for entry in await store.failed("q")] == expected
    assert [(entry.job_id, entry.data) for entry in await store.failed("q", limit=9)] == expected[:9]
    assert max(answers) <= MOST


async def test_schedules(store: PostgresStore, clock: TravellingClock, answers: list[int]) -> None:
    """They are read by id, listed or named."""
    epoch = await store.join("q", "w", [GroupJoin("g")], HOUR)
    for job in JOBS:
        await store.put_schedule("q", NewSchedule(job.id, job.data, "d", "t", clock()))
    assert [(each.spec.id, each.spec.data) for each in await store.schedules("q")] == PAYLOADS
    ids = [job.id for job in JOBS[2:9]]
    assert [(each.spec.id, each.spec.data) for each in await store.schedules("q", ids)] == PAYLOADS[2:9]
    assert [(each.spec.id, each.spec.data) for each in (await store.tick(epoch)).due] == PAYLOADS
    assert max(answers) <= MOST
