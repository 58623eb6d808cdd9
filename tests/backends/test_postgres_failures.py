"""What goes wrong at a server is told in the library's errors, each with a line that says what would help."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest

from checkmate_queue import BackendUnavailableError, ConfigError, InvalidArgumentError, QueueManager
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import NewJob
from tests.cli.program import PROGRAM, Site

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

TABLES_ALONE = """
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}
"""
CALLERS = 8


@asynccontextmanager
async def somebody(storage: PostgresStorage, grants: str = "") -> AsyncIterator[str]:
    """The address for a role that has only these rights."""
    role = f"somebody_{uuid4().hex[:8]}"
    database = await asyncpg.connect(storage.url)
    try:
        await database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        if grants:
            await database.execute(grants.format(schema=storage.schema, role=role))
        url = storage.url.replace("//postgres:@", f"//{role}:secret@")
        yield url.replace("//postgres@", f"//{role}:secret@")
        await database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    finally:
        await database.close()


async def _made(storage: PostgresStorage) -> None:
    store = await storage.connect()
    await store.open()
    await store.close()


@pytest.mark.parametrize("migrate", [True, False])
@pytest.mark.parametrize("grants", ["", TABLES_ALONE], ids=["nothing", "tables"])
async def test_a_role_that_lacks_rights_is_told_so(
    postgres_storage: PostgresStorage, grants: str, migrate: bool
) -> None:
    """It can't open the storage, whose schema the error names."""
    await _made(postgres_storage)
    async with somebody(postgres_storage, grants) as url:
        store = PostgresStore(url, schema=postgres_storage.schema, migrate=migrate)
        with pytest.raises(ConfigError, match=f"permission denied.* '{postgres_storage.schema}'"):
            await store.open()
        await store.close()


async def test_a_role_that_may_make_no_schema_is_told_so(postgres_storage: PostgresStorage) -> None:
    async with somebody(postgres_storage) as url:
        with pytest.raises(ConfigError, match="permission denied for database"):
            await PostgresStore(url, schema=postgres_storage.schema).open()


@pytest.mark.parametrize(("more", "said"), [("", "permission denied"), ("&sslmode=odd", "sslmode")])
async def test_the_command_line_says_it(
    postgres_storage: PostgresStorage, tmp_path: Path, more: str, said: str
) -> None:
    """`stats` in one line, `doctor` as a problem that it found."""
    await _made(postgres_storage)
    async with somebody(postgres_storage, TABLES_ALONE) as url:
        joint = "&" if "?" in url else "?"
        address = f"{url}{joint}schema={postgres_storage.schema}{more}"
        assert said in await asyncio.to_thread(Site(tmp_path).run, "stats", "--url", address, code=1)
        doctor = await asyncio.create_subprocess_exec(
            *(PROGRAM, "doctor", "--json", "--url", address), stdout=PIPE, stderr=PIPE
        )
        output, errors = await doctor.communicate()
    assert (doctor.returncode, errors) == (1, b"")
    assert any(
        finding["status"] == "problem" and said in finding["message"] for finding in json.loads(output)
    )


@pytest.mark.parametrize(
    ("blow", "said"),
    [
        ('DROP SCHEMA "{schema}" CASCADE', "is gone or incomplete"),
        ('DROP TABLE "{schema}".job CASCADE', "is gone or incomplete"),
        ('ALTER TABLE "{schema}".job ADD CONSTRAINT alien CHECK (key < 0) NOT VALID', "alien"),
    ],
)
async def test_a_storage_that_is_damaged_at_work(
    postgres_storage: PostgresStorage, blow: str, said: str
) -> None:
    """L2: callers hear that the backend can't be used, and why."""
    async with QueueManager(postgres_storage.manager_url, patience_seconds=0.2) as manager:
        queue = manager.get_queue("q")
        await queue.enqueue(1)
        database = await asyncpg.connect(postgres_storage.url)
        await database.execute(blow.format(schema=postgres_storage.schema))
        with pytest.raises(BackendUnavailableError, match=said):
            await queue.enqueue(2)
        await database.execute(f'DROP SCHEMA IF EXISTS "{postgres_storage.schema}" CASCADE')
        await database.close()


async def test_what_postgresql_cannot_hold_is_a_wrong_argument(postgres_storage: PostgresStorage) -> None:
    """X1: texts with NUL, and half characters."""
    store = await postgres_storage.connect()
    await store.open()
    try:
        await store.register("q")
        for wrong in ("a\0b", "\ud800"):
            with pytest.raises(InvalidArgumentError, match="can't hold"):
                await store.job("q", wrong)
            with pytest.raises(InvalidArgumentError, match="can't hold"):
                await store.drop_group("q", wrong)
    finally:
        await store.close()


async def test_callers_wait_side_by_side_for_a_server_that_hangs(
    postgres_storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L2: one finds out for all of them; they don't try one after another on the same connection."""
    store = PostgresStore(
        postgres_storage.url, schema=postgres_storage.schema, patience_ms=1000, max_connections=1
    )
    await store.open()
    await store.register("q")
    database = await asyncpg.connect(postgres_storage.url)
    tried: list[str] = []
    fetch = asyncpg.Connection.fetch

    async def watch(connection: Any, query: str, *arguments: Any, **options: Any) -> list[asyncpg.Record]:
        tried.append(query)
        return await fetch(connection, query, *arguments, **options)

    try:
        async with database.transaction():
            await database.execute(f'LOCK TABLE "{postgres_storage.schema}".queue')
            monkeypatch.setattr(asyncpg.Connection, "fetch", watch)
            calls = (store.add("q", [[NewJob(f"job {number}", b"{}")]]) for number in range(CALLERS))
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(answer, BackendUnavailableError) for answer in answers), answers
        assert 0 < len(tried) < CALLERS / 2
        assert len(await store.add("q", [[NewJob("job", b"{}")]])) == 1
    finally:
        await database.close()
        await store.close()
