"""Connections that callers lend to PostgreSQL's store: which are taken, and what refusals leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from checkmate_queue import (
    BackendUnavailableError,
    ConfigError,
    InvalidArgumentError,
    PayloadError,
    QueueFullError,
    QueueManager,
)
from checkmate_queue.backends.memory.store import MemoryStore
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import GroupJoin
from checkmate_queue.moving import MovableStore
from checkmate_queue.store import FencedError
from checkmate_queue.switching.proxy import SwitchableStore
from checkmate_queue.testing.waiting import wait_until
from tests.backends.postgres_desk import LEASE, Desk, at_desk, ids, jobs
from tests.backends.postgres_lenders import (
    LENDERS,
    asyncpg_connection,
    dialect_url,
    psycopg_connection,
    sqlalchemy_session,
)

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

ISOLATIONS = ("REPEATABLE READ", "SERIALIZABLE")
BLOCKED = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = to_regclass($1))"


@asynccontextmanager
async def committing_asyncpg(url: str) -> AsyncIterator[Any]:
    """A connection of asyncpg that is in no transaction."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@asynccontextmanager
async def committing_psycopg(url: str) -> AsyncIterator[Any]:
    """One of psycopg that commits by itself."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def committing_sqlalchemy(url: str) -> AsyncIterator[Any]:
    """One of SQLAlchemy."""
    engine = create_async_engine(dialect_url(url, "asyncpg"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


COMMITTING = {
    "asyncpg": committing_asyncpg,
    "psycopg": committing_psycopg,
    "sqlalchemy": committing_sqlalchemy,
}


@pytest.fixture
async def desk(postgres_storage: PostgresStorage) -> AsyncIterator[Desk]:
    """The desk of one test."""
    async with at_desk(postgres_storage) as found:
        yield found


@pytest.fixture
async def store(desk: Desk) -> PostgresStore:
    """Its store."""
    return await desk.open()


# -- taken -------------------------------------------------------------------------------------------


async def stored(store: PostgresStore) -> list[str]:
    """The ids of all jobs that are there, taken in or not."""
    return sorted(job.id for job in await store.jobs("q"))


async def test_outside_of_a_transaction_it_is_there_at_once(
    desk: Desk, store: PostgresStore, postgres_url: str
) -> None:
    """SPEC 1: each call is a transaction then, and what is fenced is refused as everywhere."""
    own = await desk.connect()
    other = await psycopg.AsyncConnection.connect(postgres_url, autocommit=True)
    await store.add_within(own, "q", jobs("asyncpg"))
    await store.add_within(other, "q", jobs("psycopg"))
    assert await stored(store) == ["asyncpg", "psycopg"]
    async with other.transaction(force_rollback=True):
        await store.add_within(other, "q", jobs("rolled back"))
    for driver in ("asyncpg", "psycopg"):
        engine = create_async_engine(dialect_url(postgres_url, driver), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await store.add_within(connection, "q", jobs(f"over {driver}"))
            assert f"over {driver}" in await stored(store)
            await connection.rollback()
        await engine.dispose()
    await store.fence("q", "elsewhere")
    for single in (own, other):
        with pytest.raises(FencedError):
            await store.add_within(single, "q", jobs("late"))
    await other.close()
    assert await stored(store) == ["asyncpg", "over asyncpg", "over psycopg", "psycopg"]


@pytest.mark.parametrize("kind", COMMITTING)
async def test_a_fence_waits_for_a_call_outside_of_a_transaction(
    desk: Desk, store: PostgresStore, postgres_url: str, kind: str
) -> None:
    """B3: from its look at the queue until its job is there."""
    async with COMMITTING[kind](postgres_url) as connection:
        blocker = await desk.begin()
        inbox = f'"{desk.storage.schema}".inbox'
        await blocker.execute(f"LOCK TABLE {inbox} IN SHARE MODE")
        call = asyncio.create_task(store.add_within(connection, "q", jobs("a")))
        database = await desk.connect()

        async def writes() -> bool:
            return bool(await database.fetchval(BLOCKED, inbox))

        await wait_until(writes, description="the call is about to write")
        fence = asyncio.create_task(store.fence("q", "elsewhere"))
        await wait_until(desk.fence_waits, description="the fence waits")
        await blocker.commit()
        await call
        await fence
        assert await stored(store) == ["a"]
        assert (await store.stats("q")).delayed == 0


async def test_a_scoped_session_is_a_session(store: PostgresStore, postgres_url: str) -> None:
    """SPEC 1: as is a class of one's own."""

    class OwnSession(AsyncSession):
        """A project's own."""

    engine = create_async_engine(dialect_url(postgres_url, "asyncpg"))
    makers = async_sessionmaker(engine, class_=OwnSession)
    scoped = async_scoped_session(makers, scopefunc=lambda: 1)
    await store.add_within(scoped, "q", jobs("scoped"))
    await scoped.commit()
    await scoped.remove()
    async with makers() as session:
        await store.add_within(session, "q", jobs("own"))
        await session.commit()
    await engine.dispose()
    assert await stored(store) == ["own", "scoped"]


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "session-asyncpg"])
async def test_old_snapshots_do_not_matter(
    desk: Desk, store: PostgresStore, postgres_url: str, isolation: str, driver: str
) -> None:
    """SPEC 1: a queue is found, and a fence is met, that came after the transaction's first look."""
    async with LENDERS[driver](postgres_url) as loan, LENDERS[driver](postgres_url) as late:
        for each in (loan, late):
            await each.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            await each.execute(f'SELECT * FROM "{desk.storage.schema}".queue')
        await store.register("new")
        await store.add_within(loan.connection, "new", jobs("a"))
        await loan.commit()
        await store.fence("new", "elsewhere")
        with pytest.raises(FencedError):
            await store.add_within(late.connection, "new", jobs("b"))
        await late.commit()
    assert [job.id for job in await store.jobs("new")] == ["a"]


async def test_a_storage_that_was_made_anew_is_found_again(desk: Desk, store: PostgresStore) -> None:
    """SPEC 1: what the store knows of a queue's place is looked up again when it does not hold any more."""
    database = await desk.connect()
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    await loan.commit()
    schema = f'"{desk.storage.schema}"'
    await database.execute(
        f"DELETE FROM {schema}.inbox; DELETE FROM {schema}.contact; DELETE FROM {schema}.queue"
    )
    await store.register("before")
    await store.register("q")
    again = await desk.begin()
    await store.add_within(again.connection, "q", jobs("b"))
    await again.commit()
    assert await stored(store) == ["b"]
    await database.execute(f"DROP SCHEMA {schema} CASCADE")
    await desk.open()
    last = await desk.begin()
    await store.add_within(last.connection, "q", jobs("c"))
    await last.commit()
    assert await stored(store) == ["c"]


async def test_the_grants_of_a_caller_are_few(desk: Desk, store: PostgresStore) -> None:
    """SPEC 1: writing into the inbox is all it takes; without that it is refused, and harms nothing."""
    schema, role = desk.storage.schema, f"shop_{uuid4().hex[:8]}"
    database = await desk.connect()
    await database.execute(f"CREATE ROLE {role}")
    try:
        for grant in ("", f"USAGE ON SCHEMA {schema}", f"INSERT ON {schema}.inbox"):
            if grant:
                await database.execute(f"GRANT {grant} TO {role}")
            loan = await desk.begin()
            await loan.execute(f"SET LOCAL ROLE {role}")
            if not grant.startswith("INSERT"):
                with pytest.raises(ConfigError, match=rf'GRANT INSERT ON "{schema}".inbox'):
                    await store.add_within(loan.connection, "q", jobs("a"))
            else:
                await store.add_within(loan.connection, "q", jobs("a"))
            await loan.execute("SELECT 1")
            await loan.commit()
    finally:
        await database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    assert await ids(store, epoch) == ["a"]


# -- refused -----------------------------------------------------------------------------------------


async def test_what_is_no_connection_is_refused(store: PostgresStore, postgres_url: str) -> None:
    """SPEC 1: with a word on what it is, and not on what it holds."""
    with psycopg.Connection.connect(postgres_url) as blocking, Session() as session:
        for wrong in (object(), 1, blocking, session, create_async_engine("postgresql+asyncpg://host/db")):
            with pytest.raises(InvalidArgumentError, match=r"asyncpg.*psycopg.*AsyncSession.* not a "):
                await store.add_within(wrong, "q", jobs("a"))
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool:
        with pytest.raises(InvalidArgumentError, match=r"not a asyncpg\.pool\.Pool"):
            await store.add_within(pool, "q", jobs("a"))
    with pytest.raises(InvalidArgumentError) as caught:
        await store.add_within("postgresql://user:secret@host/db", "q", jobs("a"))
    assert "secret" not in str(caught.value)
    assert await stored(store) == []


@pytest.mark.parametrize("has_schema", [False, True], ids=["bare", "with a schema of the same name"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "session-asyncpg"])
async def test_another_database_is_refused(
    desk: Desk, store: PostgresStore, postgres_url: str, driver: str, has_schema: bool
) -> None:
    """SPEC 1: whatever is in it; the transaction goes on."""
    name = f"other_{uuid4().hex[:8]}"
    database = await desk.connect()
    await database.execute(f"CREATE DATABASE {name}")
    address = urlsplit(postgres_url)
    url = address._replace(path=f"/{name}").geturl()
    try:
        if has_schema:
            other = PostgresStore(url, schema=desk.storage.schema)
            await other.open()
            await other.register("q")
            await other.close()
        async with LENDERS[driver](url) as loan:
            await loan.execute("CREATE TABLE orders (id integer)")
            with pytest.raises(
                ConfigError, match=rf"another database.*{desk.storage.schema}.*{address.path[1:]}"
            ):
                await store.add_within(loan.connection, "q", jobs("a"))
            await loan.execute("INSERT INTO orders VALUES (1)")
            await loan.commit()
    finally:
        await database.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert await stored(store) == []


async def test_a_copy_of_the_database_is_refused(desk: Desk, postgres_url: str) -> None:
    """SPEC 1: though everything in it is called, and numbered, as in the queue's own."""
    own, copied = (f"shop_{uuid4().hex[:8]}" for _ in range(2))
    urls = [urlsplit(postgres_url)._replace(path=f"/{name}").geturl() for name in (own, copied)]
    database = await desk.connect()
    await database.execute(f"CREATE DATABASE {own}")
    store = PostgresStore(urls[0])
    try:
        await store.open()
        await store.register("q")
        await store.close()
        await wait_until(partial(_is_left, database, own), description="nobody is connected")
        await database.execute(f"CREATE DATABASE {copied} TEMPLATE {own}")
        await store.open()
        async with asyncpg_connection(urls[1]) as loan:
            with pytest.raises(ConfigError, match=rf"another database.*{own}"):
                await store.add_within(loan.connection, "q", jobs("a"))
    finally:
        await store.close()
        for name in (own, copied):
            await database.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _is_left(database: asyncpg.Connection[asyncpg.Record], name: str) -> bool:
    return not await database.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)", name
    )


async def test_a_transaction_that_only_reads_is_refused(desk: Desk, store: PostgresStore) -> None:
    """SPEC 1: and goes on reading."""
    loan = await desk.begin()
    await loan.execute("SET TRANSACTION READ ONLY")
    with pytest.raises(ConfigError, match="read-only"):
        await store.add_within(loan.connection, "q", jobs("a"))
    await loan.execute("SELECT 1")


async def test_errors_of_the_connection_are_the_callers(store: PostgresStore, postgres_url: str) -> None:
    """SPEC 1: a transaction that has failed already says so in its driver's words, and stays failed."""
    lent: list[tuple[AbstractAsyncContextManager[Any], type[Exception]]] = [
        (asyncpg_connection(postgres_url), asyncpg.InFailedSQLTransactionError),
        (psycopg_connection(postgres_url), psycopg.errors.InFailedSqlTransaction),
    ]
    for lending, error in lent:
        async with lending as loan:
            with pytest.raises((asyncpg.UndefinedTableError, psycopg.errors.UndefinedTable)):
                await loan.execute("SELECT * FROM nowhere")
            with pytest.raises(error):
                await store.add_within(loan.connection, "q", jobs("a"))
            await loan.roll_back()
    assert await stored(store) == []


async def test_what_the_queue_refuses_leaves_the_transaction_alone(postgres_storage: PostgresStorage) -> None:
    """J2, J4, J8: a caller may catch it and go on."""
    async with (
        QueueManager(f"{postgres_storage.manager_url}&max_queue_size=1") as manager,
        sqlalchemy_session("psycopg")(postgres_storage.url) as loan,
    ):
        queue = manager.get_queue("q", int)
        assert await queue.enqueue_many([], connection=loan.connection) == []
        with pytest.raises(PayloadError):
            await queue.enqueue("text", connection=loan.connection)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError):
            await queue.enqueue(1, priority=1 << 40, connection=loan.connection)
        with pytest.raises(QueueFullError, match=r"^Queue 'q' is full \(max: 1\)$"):
            await queue.enqueue_many([1, 2], connection=loan.connection)
        await queue.enqueue(3, job_id="3", connection=loan.connection)
        assert (await loan.connection.execute(text("SELECT 1"))).scalar() == 1
        await loan.commit()
        assert [job.id for job in await queue.list_jobs()] == ["3"]


async def test_a_switch_to_a_backend_without_transactions(desk: Desk, store: PostgresStore) -> None:
    """B3: who meets the fence follows it, and is told by the new backend; the transaction goes on."""
    memory = MemoryStore(clock=desk.clock)

    async def follow(generation: int, successor: str) -> None:
        proxy.switch_to(memory, kept=True, backend="memory")

    old = cast("MovableStore", store)
    proxy = SwitchableStore(old, memory, follow, kept=True, backend="postgres")
    loan = await desk.begin()
    assert await proxy.add_within(loan.connection, "q", jobs("a")) is None
    await loan.commit()
    await proxy.fence("q", "memory")
    late = await desk.begin()
    with pytest.raises(ConfigError, match="'memory' can't enqueue within a transaction"):
        await proxy.add_within(late.connection, "q", jobs("b"))
    await late.execute("SELECT 1")
    await late.commit()
    assert await stored(store) == ["a"]


async def test_a_store_that_is_closed_says_so(desk: Desk, store: PostgresStore) -> None:
    """L2: the server that the connection leads to can't make up for that."""
    loan = await desk.begin()
    await store.close()
    with pytest.raises(BackendUnavailableError):
        await store.add_within(loan.connection, "q", jobs("a"))
    await loan.execute("SELECT 1")
