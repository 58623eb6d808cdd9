"""A store whose clock travels, beside transactions of callers on the same server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Claim, Epoch, NewJob, StoreLimits
from checkmate_queue.testing.clock import TravellingClock
from tests.backends.postgres_lenders import Loan, asyncpg_connection

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

LEASE = 3_600_000
WAITING = """
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = to_regclass($1)::oid
)
"""


class Desk:
    """What one test has of both."""

    def __init__(self, storage: PostgresStorage, stack: AsyncExitStack) -> None:
        self.clock = TravellingClock()
        self.storage = storage
        self._stack = stack

    async def open(self, limits: StoreLimits | None = None, patience_ms: int = 5000) -> PostgresStore:
        """A store with the queue `q`, which is closed in the end."""
        store = PostgresStore(
            self.storage.url,
            schema=self.storage.schema,
            clock=self.clock,
            limits=limits or StoreLimits(),
            patience_ms=patience_ms,
        )
        self._stack.push_async_callback(store.close)
        await store.open()
        await store.register("q")
        return store

    async def begin(self) -> Loan:
        """Another caller's transaction."""
        return await self._stack.enter_async_context(asyncpg_connection(self.storage.url))

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of the test's own."""
        connection = await asyncpg.connect(self.storage.url)
        self._stack.push_async_callback(connection.close)
        return connection

    async def fence_waits(self) -> bool:
        """Whether somebody waits for an inbox."""
        connection = await asyncpg.connect(self.storage.url)
        try:
            return bool(await connection.fetchval(WAITING, f'"{self.storage.schema}".inbox'))
        finally:
            await connection.close()

    async def everything(self) -> dict[str, list[str]]:
        """All rows of all tables."""
        connection = await asyncpg.connect(self.storage.url)
        try:
            tables = await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = $1", self.storage.schema
            )
            found: dict[str, Any] = {
                table: await connection.fetch(f'SELECT t::text FROM "{self.storage.schema}"."{table}" t')
                for (table,) in tables
            }
        finally:
            await connection.close()
        return {table: sorted(row[0] for row in rows) for table, rows in found.items()}


@asynccontextmanager
async def at_desk(storage: PostgresStorage) -> AsyncIterator[Desk]:
    """A desk, which is cleared in the end."""
    async with AsyncExitStack() as stack:
        yield Desk(storage, stack)


def jobs(*ids: str) -> list[NewJob]:
    """Jobs without anything special."""
    return [NewJob(job_id, b"{}") for job_id in ids]


async def claims(store: PostgresStore, epoch: Epoch, group: str = "g", n: int = 1) -> list[Claim]:
    """Claim all that is ready."""
    return (await store.exchange(epoch, group, n, [], 5000)).claims


async def ids(store: PostgresStore, epoch: Epoch, group: str = "g", n: int = 1) -> list[str]:
    """The ids of that, in order."""
    return [claim.job_id for claim in await claims(store, epoch, group, n)]
