"""Holding a transaction open at a step of its way, while another one runs against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

COMMIT = "commit"

HOLD = """
CREATE OR REPLACE FUNCTION {schema}.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') = 'held {name}' THEN
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('{name}', 0));
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
"""
BEFORE = """
CREATE TRIGGER hold BEFORE INSERT OR UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION {schema}.hold()
"""
AT_COMMIT = """
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE OR DELETE ON {table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.hold()
"""
WAITING = """
SELECT EXISTS (
    SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE a.application_name = $1 AND NOT l.granted
      AND (l.locktype = 'advisory' AND l.objsubid = 1) = $2
)
"""


class Gate:
    """Two stores on one storage: `held` stops where the gate is shut, `free` does not."""

    def __init__(self, storage: PostgresStorage, control: asyncpg.Connection[asyncpg.Record]) -> None:
        self._name = storage.schema
        self._schema = f'"{storage.schema}"'
        self._control = control
        self.clock = TravellingClock()
        self.held = self._store(storage, "held")
        self.free = self._store(storage, "free")

    async def shut(self, step: str) -> None:
        """Stop the held store before it writes to this table, or before it commits."""
        await self._control.execute(HOLD.format(schema=self._schema, name=self._name))
        tables = await self._control.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND ($2 = $3 OR tablename = $2)",
            *(self._name, step, COMMIT),
        )
        assert tables, f"no table {step}"
        for (table,) in tables:
            trigger = AT_COMMIT if step == COMMIT else BEFORE
            name = f'{self._schema}."{table}"'
            await self._control.execute(trigger.format(table=name, schema=self._schema))
        await self._control.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", self._name)

    async def open(self) -> None:
        """Let the held store go on."""
        await self._control.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", self._name)

    async def overlap(self, first: Coroutine[Any, Any, Any], second: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run `first` up to the gate, then `second` as far as it gets, then both to their ends."""
        going = asyncio.create_task(first)
        try:
            await self.held_up(going)
        except BaseException:
            second.close()
            raise
        against = asyncio.create_task(second)
        await wait_until(lambda: self._stuck_or_done(against), description="the other one waits or is done")
        self.waited = not against.done()
        await self.open()
        return list(await asyncio.gather(going, against, return_exceptions=True))

    async def kill(self) -> None:
        """End the held store's connections where they are."""
        await self._control.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
            f"held {self._name}",
        )

    async def held_up(self, task: asyncio.Task[Any]) -> None:
        """Wait until the held store stands at the gate."""
        await wait_until(lambda: self._at_gate(task), description="the held transaction is at the gate")

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query on the storage's tables finds."""
        async with self._control.transaction():
            await self._control.execute("SELECT set_config('search_path', $1, true)", self._schema)
            return [tuple(row) for row in await self._control.fetch(query)]

    async def everything(self) -> dict[str, list[str]]:
        """All rows of all tables."""
        tables = await self._control.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1", self._name
        )
        return {
            table: sorted(row[0] for row in await self.rows(f'SELECT t::text FROM "{table}" t'))
            for (table,) in tables
        }

    def _store(self, storage: PostgresStorage, role: str) -> PostgresStore:
        joint = "&" if "?" in storage.url else "?"
        url = f"{storage.url}{joint}application_name={role}%20{self._name}"
        return PostgresStore(url, schema=storage.schema, clock=self.clock, limits=StoreLimits())

    async def _at_gate(self, task: asyncio.Task[Any]) -> bool:
        assert not task.done(), f"the gate was passed: {task}"
        return await self._waits("held", at_gate=True)

    async def _stuck_or_done(self, task: asyncio.Task[Any]) -> bool:
        return task.done() or await self._waits("free", at_gate=False)

    async def _waits(self, role: str, *, at_gate: bool) -> bool:
        return bool(await self._control.fetchval(WAITING, f"{role} {self._name}", at_gate))


@asynccontextmanager
async def gate(storage: PostgresStorage) -> AsyncIterator[Gate]:
    """A gate on an empty storage with the queue `q`."""
    control = await asyncpg.connect(storage.url)
    found = Gate(storage, control)
    try:
        await found.free.open()
        await found.held.open()
        await found.free.register("q")
        yield found
    finally:
        await control.close()
        await found.held.close()
        await found.free.close()


async def outcome(work: Awaitable[Any]) -> Any:
    """What became of it, errors included."""
    return (await asyncio.gather(work, return_exceptions=True))[0]
