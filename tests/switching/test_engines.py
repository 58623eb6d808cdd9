"""Moving between engines of different kinds, and what it costs (B2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.model import (
    Done,
    Fail,
    Failure,
    Firing,
    GiveBack,
    GroupJoin,
    NewJob,
    NewSchedule,
    RetryLater,
    Settlement,
)
from checkmate_queue.core.moving import Moved
from checkmate_queue.moving import MovableStore
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.conformance.moving import normal
from tests.servers.postgres import PostgresStorage
from tests.servers.redis_storage import RedisStorage

MakeStore = Callable[[str], MovableStore]

ENGINES = ["memory", "sqlite", "redis", "postgres"]


@pytest.fixture
def clock() -> TravellingClock:
    return TravellingClock()


@pytest.fixture
async def make(
    tmp_path: Path, clock: TravellingClock, postgres_url: str, redis_storage: RedisStorage
) -> AsyncIterator[MakeStore]:
    """Makes a store of an engine, empty at first."""
    schemas: list[PostgresStorage] = []

    def store(engine: str) -> MovableStore:
        match engine:
            case "memory":
                return MemoryStore(clock=clock)
            case "sqlite":
                return SqliteStore(tmp_path / f"{uuid4().hex}.db", clock=clock)
            case "redis":
                prefix = f"{redis_storage.prefix}:{uuid4().hex}"  # so that it is removed with the others
                return RedisStore(redis_storage.url, prefix=prefix, clock=clock)
            case _:
                schemas.append(PostgresStorage(postgres_url, f"engines_{uuid4().hex}"))
                return PostgresStore(postgres_url, schema=schemas[-1].schema, clock=clock)

    yield store
    for schema in schemas:
        await schema.destroy()


@asynccontextmanager
async def opened(store: MovableStore) -> AsyncIterator[MovableStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def fill(store: MovableStore, clock: TravellingClock) -> None:
    """Something of everything."""
    await store.register("q")
    epoch = await store.join("q", "w", [GroupJoin("g"), GroupJoin("h", True, max_stalls=5)], 30_000)
    dead = await store.join("q", "dead", [GroupJoin("g")], 1000)
    await store.add("q", [[NewJob(f"{number}", b"%d" % number, number % 3) for number in range(20)]])
    await store.exchange(dead, "g", 1, (), 2)
    claims = (await store.exchange(epoch, "g", 1, (), 8)).claims
    settlements: list[Settlement] = [
        Done(claims[0].key), RetryLater(claims[1].key, 5000), Fail(claims[2].key, Failure("T", "m", "t")),
        GiveBack(claims[4].key), GiveBack(claims[3].key),
    ]  # fmt: skip
    await store.exchange(epoch, "g", 2, settlements, 1)
    await store.add("q", [[NewJob("late", b"{}", 5, b'{"a":"b"}', 9000, 99_000, "drop", "token")]])
    spec = NewSchedule("s", b"1", "definition", "timing", clock() + 1000, 60.0)
    schedule = await store.put_schedule("q", spec)
    assert schedule.next_at is not None
    clock.advance(1)
    await store.fire(
        "q",
        [Firing("s", schedule.revision, schedule.next_at, schedule.next_at + 60_000, (schedule.next_at,))],
    )
    await store.cancel("q", claims[5].job_id)
    for _ in range(3):
        clock.advance(0.4)
        await store.heartbeat(epoch, b"report")
    await store.register("empty")


async def records_of(store: MovableStore, queue: str, limit: int) -> list[Moved]:
    records: list[Moved] = []
    cursor: str | None = ""
    while cursor is not None:
        batch, cursor = await store.export(queue, cursor, limit)
        records += batch
    return records


async def move(old: MovableStore, new: MovableStore, limit: int = 7) -> None:
    await old.fence(None, "there")
    assert await new.receive("t", "back")
    n = 0
    for queue in await old.queues():
        await old.fence(queue, "there")
        cursor: str | None = ""
        while cursor is not None:
            records, cursor = await old.export(queue, cursor, limit)
            n += 1
            await new.restore("t", queue, n, records)
    await new.admit("t")


@pytest.mark.parametrize("second", ENGINES)
@pytest.mark.parametrize("first", ENGINES)
async def test_nothing_changes_on_the_way(
    first: str, second: str, make: MakeStore, clock: TravellingClock
) -> None:
    """B2: there and back, whatever the engines; statistics, failed entries and schedules included."""
    async with opened(make(first)) as old, opened(make(second)) as new, opened(make(first)) as last:
        await fill(old, clock)
        await move(old, new)
        await move(new, last, 100)
        await last.fence("q", "there")
        assert normal(await records_of(last, "q", 5)) == normal(await records_of(old, "q", 1000))
        assert await last.stats("q") == await new.stats("q") == await old.stats("q")
        assert await last.schedules("q") == await old.schedules("q")
        assert await last.queues() == ["empty", "q"]
        assert [(e.job_id, e.failure, e.attempts, e.failed_at) for e in await last.failed("q")] == [
            (e.job_id, e.failure, e.attempts, e.failed_at) for e in await old.failed("q")
        ]


@pytest.mark.parametrize("second", ENGINES)
@pytest.mark.parametrize("first", ENGINES)
async def test_starting_order_is_the_same(
    first: str, second: str, make: MakeStore, clock: TravellingClock
) -> None:
    """B2: of what is ready, what comes back when its worker is gone, and retries."""
    orders = []
    for moves in (False, True):
        clock_before = clock()
        async with opened(make(first)) as old, opened(make(second)) as new:
            await fill(old, clock)
            if moves:
                await move(old, new)
            store = new if moves else old
            epoch = await store.join("q", "v", [GroupJoin("g")], 30_000)
            claims = (await store.exchange(epoch, "g", 1, (), 100)).claims
            orders.append([(claim.job_id.partition(":")[0], claim.attempts, claim.data) for claim in claims])
            assert len(claims) > 10
        assert clock() > clock_before
    assert orders[0] == orders[1]


@pytest.mark.full
async def test_a_hundred_thousand_jobs_move(make: MakeStore) -> None:
    """B2: all of them; how fast is for `python -m benchmarks move` to say."""
    async with opened(make("sqlite")) as old, opened(make("sqlite")) as new:
        await old.register("q")
        await old.join("q", "w", [GroupJoin("g")], 30_000)
        for first in range(0, 100_000, 1000):
            await old.add("q", [[NewJob(f"{first + number}", b"{}") for number in range(1000)]])
        await move(old, new, 1000)
        assert (await new.stats("q")).pending == 100_000
