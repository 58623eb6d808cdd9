"""What moves into PostgreSQL gets keys of one sequence, however far apart they were before (B2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from checkmate_queue.core.model import Failure, GroupJoin, NewJob
from checkmate_queue.core.moving import Moved, MovedFailure, MovedGroup, MovedJob, MovedQueue, MovedReady

if TYPE_CHECKING:
    from checkmate_queue.backends.postgres.store import PostgresStore
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

FAR = 1 << 41


@pytest.fixture
async def store(postgres_storage: PostgresStorage) -> AsyncIterator[PostgresStore]:
    made = await postgres_storage.connect()
    await made.open()
    yield made
    await made.close()


def job(key: int) -> MovedJob:
    return MovedJob(key, f"{key}", None, b"1", b"", 0, 1, None, None, "hold", "")


def failure(key: int, group: str) -> MovedFailure:
    return MovedFailure(key, "failed", None, group, b"1", b"", 0, 1, "hold", Failure("T", "m", ""), 1, 2)


KEYS = [1, 2, 1000, FAR, FAR + 1, 2 * FAR - 1]
RECORDS: list[Moved] = [
    MovedQueue(False, 2 * FAR, 7, 9, {}),
    *(MovedGroup(name, False, 3, 1, 0, None, {}) for name in ("g", "h")),
    *map(job, KEYS),
    *(MovedReady(key, "g", 0, 0, 1, 0, False) for key in KEYS),
    failure(FAR // 2, "g"),
    failure(FAR // 2, "h"),
    failure(FAR // 2 + 1, "g"),
    failure(FAR, "h"),
]


async def records_of(store: PostgresStore, queue: str) -> list[Moved]:
    await store.fence(None, "there")
    await store.fence(queue, "there")
    answer = await store.export(queue)
    assert answer.cursor is None
    return answer.records


async def test_gaps_among_keys_do_not_grow_with_every_move(store: PostgresStore) -> None:
    """B2: they are left out, in any number of queues, and no two have a key in common."""
    assert await store.receive("t", "back")
    n = 0
    for queue in ("a", "b", "c"):
        for first in range(0, len(RECORDS), 2):
            n += 1
            await store.restore("t", queue, n, RECORDS[first : first + 2])
    await store.admit("t")
    for queue in ("a", "b", "c"):
        epoch = await store.join(queue, "w", [GroupJoin("g")], 30_000)
        claims = (await store.exchange(epoch, "g", 1, (), 10)).claims
        assert [claim.job_id for claim in claims] == [f"{key}" for key in KEYS]
        await store.add(queue, [[NewJob("new", b"")]])
        moved = [record.key for record in await records_of(store, queue) if isinstance(record, MovedJob)]
        living = [record.key for record in RECORDS if isinstance(record, MovedJob)]
        assert sorted(set(moved)) == moved
        assert len(moved) == len(living) + 1
        assert moved[-2] - moved[0] < 2000 + 100_000
        assert moved[0] > 0


async def test_failed_entries_keep_together(store: PostgresStore) -> None:
    """B2, F4: those of one job have one key; one whose job is gone has none that another gets."""
    assert await store.receive("t", "back")
    await store.restore("t", "q", 1, RECORDS)
    await store.admit("t")
    keys = [record.key for record in await records_of(store, "q") if isinstance(record, MovedFailure)]
    jobs = {record.id: record.key for record in await records_of(store, "q") if isinstance(record, MovedJob)}
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == jobs[f"{FAR}"]
    assert set(keys[:3]).isdisjoint(jobs.values())
    assert min(keys) > 0
