"""What work leaves behind in the tables is cleared away before it is many times what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from benchmarks.soak import soak
from checkmate_queue.backends.postgres.cleaner import Cleaner
from checkmate_queue.backends.postgres.server import Server
from checkmate_queue.testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

DEAD = 15_000
ALWAYS = 1_000_000
SEEN = """
SELECT n_dead_tup AS dead, vacuum_count AS vacuums FROM pg_stat_all_tables
WHERE schemaname = $1 AND relname = 'job'
"""
INSERT = """
INSERT INTO {table} (key, enqueued_at, queue_id, priority, drop_unclaimed, id, data, metadata, token)
SELECT n, 0, 1, 0, false, n, '', '', '' FROM generate_series(1, {rows}) n
"""


class Heap:
    """The table of jobs, full of dead rows."""

    def __init__(self, storage: PostgresStorage, watching: asyncpg.Connection[asyncpg.Record]) -> None:
        self._storage = storage
        self._watching = watching

    async def spoil(self) -> None:
        """Make rows and remove them, where autovacuum does not look."""
        store = await self._storage.connect()
        await store.open()
        await store.close()
        table = f'"{self._storage.schema}".job'
        await self._watching.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        await self._watching.execute(INSERT.format(table=table, rows=DEAD))
        await self._watching.execute(f"DELETE FROM {table}")
        await wait_until(self._is_spoilt, description="the server knows of the dead rows", timeout=60)

    async def vacuums(self) -> int:
        """How often it was vacuumed."""
        return int((await self._seen())["vacuums"])

    async def is_clean(self) -> bool:
        """Whether nothing is dead in it."""
        return bool((await self._seen())["dead"] < 1000)

    async def _is_spoilt(self) -> bool:
        return bool((await self._seen())["dead"] >= DEAD)

    async def _seen(self) -> asyncpg.Record:
        row = await self._watching.fetchrow(SEEN, self._storage.schema)
        assert row is not None
        return row


@pytest.fixture
async def heap(postgres_storage: PostgresStorage) -> AsyncIterator[Heap]:
    """A heap that is spoilt."""
    watching = await asyncpg.connect(postgres_storage.url)
    heap = Heap(postgres_storage, watching)
    await heap.spoil()
    yield heap
    await watching.close()


def others() -> set[asyncio.Task[None]]:
    """All tasks but this one."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_dead_rows_are_cleared_away(postgres_storage: PostgresStorage, heap: Heap) -> None:
    """Once enough deliveries have ended, somebody looks, and vacuums what is worth it."""
    cleaner = Cleaner(Server(postgres_storage.url, None, 60.0), postgres_storage.schema)
    cleaner.note(ALWAYS)
    await wait_until(heap.is_clean, description="the table is clean", timeout=60)
    await cleaner.stop()
    assert await heap.vacuums() == 1


async def test_nobody_vacuums_in_vain_again_and_again(postgres_storage: PostgresStorage, heap: Heap) -> None:
    """While a transaction may still see the dead, vacuuming is tried less and less often."""
    cleaner = Cleaner(Server(postgres_storage.url, None, 60.0), postgres_storage.schema)
    old = await asyncpg.connect(postgres_storage.url)
    async with old.transaction(isolation="repeatable_read"):
        await old.fetchval("SELECT count(*) FROM pg_class")
        await heap.spoil()
        cleaner.note(ALWAYS)
        await asyncio.gather(*others())
        assert await heap.vacuums() == 1
        cleaner.note(ALWAYS)
        assert others() == set()
    await old.close()
    await cleaner.stop()


async def test_who_may_not_vacuum_leaves_it(postgres_storage: PostgresStorage, heap: Heap) -> None:
    """A role without the rights of the tables' owner does nothing, and nothing complains."""
    role = f"role_{postgres_storage.schema}"
    admin = await asyncpg.connect(postgres_storage.url)
    await admin.execute(f'CREATE ROLE "{role}"')
    joint = "&" if "?" in postgres_storage.url else "?"
    cleaner = Cleaner(
        Server(f"{postgres_storage.url}{joint}role={role}", None, 60.0), postgres_storage.schema
    )
    cleaner.note(ALWAYS)
    await asyncio.gather(*others())
    assert await heap.vacuums() == 0
    await admin.execute(f'DROP ROLE "{role}"')
    await admin.close()


async def test_an_unreachable_server_is_no_error(postgres_storage: PostgresStorage) -> None:
    """L2: those who clean leave off, as others say that the server is away."""
    cleaner = Cleaner(Server("postgresql://127.0.0.1:1/nowhere", None, 60.0), postgres_storage.schema)
    cleaner.note(ALWAYS)
    await asyncio.gather(*others())
    assert others() == set()


@pytest.mark.full
async def test_two_hundred_thousand_jobs_leave_no_bloat() -> None:
    """Tables and indexes end with at most three times what a fresh storage of the same content has."""
    servers = pytest.importorskip("tests.servers.postgres")
    with servers.running() as server:
        worn, at_end, fresh = await soak(server.get_uri(), jobs=200_000, backlog=50_000)
        assert worn.completed >= 200_000
        assert sum(at_end.values()) <= 3 * sum(fresh.values()), (at_end, fresh)
