"""More records than one transaction handles: the work is split, and nobody can tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.backends.sqlite.promotion import MOST
from checkmate_queue.core.model import Epoch, GroupJoin, NewJob
from checkmate_queue.testing.clock import TravellingClock

QUEUE = "queue"
MANY = 2 * MOST + 500
LEASE_MS = 10_000_000


@pytest.fixture
def clock() -> TravellingClock:
    return TravellingClock()


@pytest.fixture
async def store(tmp_path: Path, clock: TravellingClock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "queue.db", clock=clock)
    await opened.open()
    await opened.register(QUEUE)
    yield opened
    await opened.close()


async def add_many(store: SqliteStore, delay_ms: int = 0, expires_ms: int | None = None) -> None:
    """So many jobs with the ids "0", "1", …"""
    unit = [NewJob(str(n), b"1", delay_ms=delay_ms, expires_ms=expires_ms) for n in range(MANY)]
    await store.add(QUEUE, [unit])


async def claim(store: SqliteStore, epoch: Epoch, n: int = 1, want: int = 1, group: str = "g") -> list[str]:
    return [c.job_id for c in (await store.exchange(epoch, group, n, (), want)).claims]


async def test_many_due_at_once(store: SqliteStore, clock: TravellingClock) -> None:
    """All of them become ready before one is claimed, so that the most urgent one comes first (J5)."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE_MS)
    await add_many(store, delay_ms=1000)
    await store.add(QUEUE, [[NewJob("urgent", b"1", priority=9, delay_ms=2000)]])
    clock.advance(3)
    assert await claim(store, epoch, want=3) == ["urgent", "0", "1"]
    stats = await store.stats(QUEUE)
    assert (stats.pending, stats.delayed, stats.processing) == (MANY - 2, 0, 3)


async def test_many_expired_at_once(store: SqliteStore, clock: TravellingClock) -> None:
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE_MS)
    await add_many(store, expires_ms=1000)
    await store.add(QUEUE, [[NewJob("lasting", b"1")]])
    clock.advance(2)
    answers = (await store.add(QUEUE, [[NewJob(str(MANY - 1), b"1")]]))[0]
    assert isinstance(answers, list)
    assert answers[0].created, "the id of an expired job is free before it was swept"
    assert await store.job(QUEUE, str(MANY - 2)) is None
    assert await claim(store, epoch, want=3) == ["lasting", str(MANY - 1)]
    stats = await store.stats(QUEUE)
    assert (stats.pending, stats.expired) == (0, MANY)


async def test_large_group_is_dropped(store: SqliteStore) -> None:
    """It is gone at once, its ids are free, and what is left of it is cleared away by later ticks."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("other")], LEASE_MS)
    gone = await store.join(QUEUE, "x", [GroupJoin("g")], LEASE_MS)
    await add_many(store)
    drained = 0
    n = 1
    while ids := await claim(store, epoch, n, 1000, "other"):
        drained += len(ids)
        n += 1
    assert drained == MANY
    await store.leave(gone, ["g"], unregister=True)
    assert [group.name for group in await store.groups(QUEUE)] == ["other"]
    stats = await store.stats(QUEUE)
    assert (stats.pending, stats.expired, stats.processing) == (0, MANY, MANY)
    job = await store.job(QUEUE, str(MANY - 1))
    assert job is not None
    assert job.groups == {"other": "processing"}
    await store.leave(epoch, ["other"], unregister=True)
    assert await store.job(QUEUE, "5") is None
    assert await store.jobs(QUEUE, limit=10) == []
    assert (await store.stats(QUEUE)).expired == 2 * MANY

    epoch = await store.join(QUEUE, "y", [GroupJoin("g", start_from="earliest")], LEASE_MS)
    assert await claim(store, epoch) == [], "a group of that name begins anew"
    answers = (await store.add(QUEUE, [[NewJob(str(MANY - 1), b"1")]]))[0]
    assert isinstance(answers, list)
    assert answers[0].created
    ticks = 0
    while (await store.tick(epoch)).more:
        ticks += 1
    assert ticks < 100
    assert await claim(store, epoch, 2, 10) == [str(MANY - 1)]
    assert (await store.stats(QUEUE)).expired == 2 * MANY


async def test_late_group_is_filled_in_batches(store: SqliteStore) -> None:
    """Everything that others have not finished comes, in the order of enqueuing, once (G3)."""
    early = await store.join(QUEUE, "w", [GroupJoin("early")], LEASE_MS)
    await add_many(store)
    late = await store.join(QUEUE, "x", [GroupJoin("late", start_from="earliest")], LEASE_MS)
    await store.add(QUEUE, [[NewJob("new", b"1")]])
    ids: list[str] = []
    n = 1
    while batch := await claim(store, late, n, 700, "late"):
        ids += batch
        n += 1
    assert sorted(ids) == sorted([*map(str, range(MANY)), "new"])
    assert [id_ for id_ in ids if id_ != "new"] == [str(number) for number in range(MANY)]
    assert len(await claim(store, early, 1, 5, "early")) == 5
