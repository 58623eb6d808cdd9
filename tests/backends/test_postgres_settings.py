"""Servers that are set up in other ways, and failures that PostgreSQL asks its clients to expect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import asyncpg
import pytest

from checkmate_queue import BackendUnavailableError, Job, QueueManager
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Added, GroupJoin, NewJob
from checkmate_queue.testing.waiting import wait_until
from tests.backends.test_postgres_races import share_the_work

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

ONE = [[NewJob("a", b"{}")]]
STRICT = """
ALTER SYSTEM SET default_transaction_isolation = 'serializable';
ALTER SYSTEM SET statement_timeout = '400ms';
ALTER SYSTEM SET lock_timeout = '200ms';
ALTER SYSTEM SET idle_in_transaction_session_timeout = '400ms';
SELECT pg_reload_conf();
"""
FAIL = """
CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no' USING ERRCODE = '{state}';
END $$;
CREATE TRIGGER fail BEFORE INSERT ON {schema}.job FOR EACH ROW EXECUTE FUNCTION {schema}.fail()
"""
INSERT = """
INSERT INTO job (key, enqueued_at, queue_id, priority, drop_unclaimed, id, data, metadata, token)
SELECT 0, 0, q.id, 0, false, 'a', '', '', '' FROM queue q ON CONFLICT DO NOTHING
"""


def url_with(storage: PostgresStorage, **settings: str) -> str:
    """The address for connections that have these settings of the server."""
    joint = "&" if "?" in storage.url else "?"
    return storage.url + (f"{joint}{urlencode(settings, quote_via=quote)}" if settings else "")


def store_with(storage: PostgresStorage, patience_ms: int = 1000, **settings: str) -> PostgresStore:
    """A store on such connections."""
    return PostgresStore(url_with(storage, **settings), schema=storage.schema, patience_ms=patience_ms)


@asynccontextmanager
async def opened(store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The store with the queue `q`, until it is closed."""
    await store.open()
    try:
        await store.register("q")
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def beside(storage: PostgresStorage) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of somebody else, who is in the storage's schema."""
    connection = await asyncpg.connect(storage.url)
    try:
        await connection.execute("SELECT set_config('search_path', $1, false)", storage.schema)
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_processes_share_the_work_whatever_the_default_isolation(
    postgres_storage: PostgresStorage, isolation: str
) -> None:
    """J7, G1: verbs read what others committed while they waited, so they ask for the isolation they need."""
    await share_the_work(
        url_with(postgres_storage, default_transaction_isolation=isolation), postgres_storage.schema
    )


async def test_a_statement_that_is_cancelled_for_its_time(postgres_storage: PostgresStorage) -> None:
    """L2: whoever meets a lock for longer than the server lets a statement run is told so, and may repeat."""
    async with opened(store_with(postgres_storage, statement_timeout="100")) as store:
        async with beside(postgres_storage) as other, other.transaction():
            await other.execute("LOCK TABLE job")
            with pytest.raises(BackendUnavailableError, match="statement timeout"):
                await store.add("q", ONE)
        assert await store.add("q", ONE) == [[Added("a", True)]]


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_conflicts_that_go_on_end_with_the_patience(
    postgres_storage: PostgresStorage, state: str
) -> None:
    """L2: nobody repeats for ever, and nobody sees the driver's error."""
    async with opened(store_with(postgres_storage, patience_ms=0)) as store:
        async with beside(postgres_storage) as other:
            await other.execute(FAIL.format(schema=f'"{postgres_storage.schema}"', state=state))
            with pytest.raises(BackendUnavailableError):
                await store.add("q", ONE)
            await other.execute("DROP TRIGGER fail ON job")
        assert await store.add("q", ONE) == [[Added("a", True)]]


async def test_a_deadlock_is_over_before_anybody_is_told(postgres_storage: PostgresStorage) -> None:
    """L2: a verb that a deadlock has undone is repeated."""
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    waiting = "SELECT bool_or(wait_event_type = 'Lock') FROM pg_stat_activity WHERE application_name = $1"
    name = f"victim {postgres_storage.schema}"
    async with opened(store_with(postgres_storage, patience_ms=5000, application_name=name)) as store:
        await store.join("q", "w", [GroupJoin("g")], 30_000)
        await store.add("q", [[NewJob("first", b"{}")]])
        async with beside(postgres_storage) as other, beside(postgres_storage) as watching:
            before = await watching.fetchval(deadlocks)
            async with other.transaction():
                await other.execute("SET LOCAL deadlock_timeout = '1h'")
                await other.execute("SELECT FROM counter FOR UPDATE")
                adding = asyncio.create_task(store.add("q", ONE))
                await wait_until(
                    lambda: watching.fetchval(waiting, name), description="it waits for a counter"
                )
                await other.execute(INSERT)
                await other.execute("DELETE FROM job WHERE key = 0")
            assert await adding == [[Added("a", True)]]
            await wait_until(
                lambda: _grown(watching, deadlocks, before), description="the deadlock is counted", timeout=30
            )


async def _grown(connection: asyncpg.Connection[asyncpg.Record], query: str, before: int) -> bool:
    return bool(await connection.fetchval(query) > before)


async def test_managers_work_on_a_strict_server() -> None:
    """L2: with short timeouts and another isolation, a lock that is held costs patience, and no job."""
    servers = pytest.importorskip("tests.servers.postgres")
    with servers.running() as server:
        server.psql(STRICT)
        storage = servers.PostgresStorage(server.get_uri())
        ran: list[int] = []

        async def handle(job: Job[int]) -> None:
            ran.append(job.data)

        async with QueueManager(storage.manager_url, patience_seconds=1) as manager:
            queue = manager.get_queue("q")
            await queue.consume(handle, consumer_group="g")
            await queue.enqueue_many(range(100))
            async with beside(storage) as other:
                await other.execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")
                await other.execute("SET lock_timeout = 0")
                async with other.transaction():
                    await other.execute("LOCK TABLE delivery")
                    with pytest.raises(BackendUnavailableError, match="timeout"):
                        await queue.enqueue(100, job_id="late")
            await queue.enqueue(100, job_id="late")
            await queue.schedule_recurring("s", 101, interval_seconds=3600)
            await wait_until(lambda: set(ran) == set(range(102)), description="all have run", timeout=60)
