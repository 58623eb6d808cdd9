"""Behind PgBouncer in its mode `transaction`: whole managers, and poolers that come, go and are busy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest

from checkmate_queue import Job, QueueManager
from checkmate_queue.backends.postgres.server import is_pooled
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Added, GroupJoin, NewJob
from checkmate_queue.testing.waiting import wait_until
from tests.backends.test_server_processes import DRAIN, together

if TYPE_CHECKING:
    from tests.servers.pgbouncer import PgBouncer, PooledStorage
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres", "tests.servers.pgbouncer"]
pytestmark = pytest.mark.full


async def test_a_pooler_is_told_from_the_server(pooled_storage: PooledStorage) -> None:
    """Only where a pooler stands between do others than the process that took the connection answer."""
    for url, expected in ((pooled_storage.url, False), (pooled_storage.pooler, True)):
        connection = await asyncpg.connect(url, statement_cache_size=0)
        try:
            assert await is_pooled(connection) is expected
        finally:
            await connection.close()


async def test_managers_work_behind_a_pooler(
    pooled_storage: PooledStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """J7, G1, F1, R1, L1: enqueued here, handled there; retries, schedules and stops as anywhere."""
    caplog.set_level(logging.INFO, logger="checkmate_queue")
    ran: list[tuple[str, int]] = []

    async def handle(job: Job[str]) -> None:
        ran.append((job.data, job.attempts))
        if job.data == "fails once" and not job.attempts:
            raise RuntimeError(job.data)

    url = pooled_storage.manager_url
    async with QueueManager(url) as producer, QueueManager(url, lease_seconds=2) as worker:
        queue = worker.get_queue("q")
        await queue.consume(handle, consumer_group="g", backoff=lambda retry, error: 0.1)
        there = producer.get_queue("q")
        first = await there.enqueue("plain", job_id="a", start_delay=0.2)
        again = await there.enqueue("plain", job_id="a")
        await there.enqueue("fails once")
        await there.schedule_recurring("every", "tick", interval_seconds=0.5)
        await wait_until(lambda: ran.count(("tick", 0)) >= 6, description="six ticks, past a lease")
        assert await there.cancel_recurring("every")
        assert (first.created, again.created) == (True, False)
        await queue.stop()
        stats = await there.get_stats()
        assert stats.completed == len(ran) - 1
        assert stats.pending + stats.processing + stats.delayed + stats.failed == 0
    assert sorted(set(ran)) == [("fails once", 0), ("fails once", 1), ("plain", 0), ("tick", 0)]
    hearing = [r for r in caplog.records if r.name == "checkmate_queue.postgres"]
    assert [r.levelname for r in hearing] == ["INFO"] * 2
    assert [
        r for r in caplog.records if r.levelno > logging.INFO and "fails once" not in r.getMessage()
    ] == []


async def test_more_workers_than_connections(pooled_storage: PooledStorage) -> None:
    """G1: four processes with more connections each than the pooler has; every job runs once."""
    async with QueueManager(pooled_storage.manager_url) as manager:
        await asyncio.gather(
            *(manager.get_queue("q").enqueue_many(range(n, n + 100)) for n in range(0, 3000, 100))
        )
        printed = await together(DRAIN, 4, pooled_storage.manager_url)
        assert sorted(int(number) for line in printed for number in line.split()) == list(range(3000))


async def test_the_pooler_dies_and_comes_back(postgres_storage: PostgresStorage, pooler: PgBouncer) -> None:
    """L2: what was accepted is done once the pooler is back, by the same worker."""
    done: list[int] = []

    async def handle(job: Job[int]) -> None:
        done.append(job.data)

    await pooler.start()
    url = f"{pooler.url}?schema={postgres_storage.schema}"
    async with QueueManager(url, patience_seconds=20) as manager:
        queue = manager.get_queue("q")
        await queue.consume(handle, consumer_group="g")
        await queue.enqueue_many(range(100))
        pooler.stop()
        late = asyncio.create_task(queue.enqueue_many(range(100, 200)))
        await pooler.start()
        await late
        await wait_until(lambda: set(done) == set(range(200)), description="all are done", timeout=60)


async def test_a_pooler_is_put_between_while_a_store_runs(
    postgres_storage: PostgresStorage, pooler: PgBouncer
) -> None:
    """What the store has named before is sent without a name as soon as a pooler misses it."""
    url = pooler.url.replace("pooled", user_of(postgres_storage.url))
    store = PostgresStore(url, schema=postgres_storage.schema)
    async with forwarding(postgres_storage.url, pooler.port):
        await store.open()
        await store.register("q")
        epoch = await store.join("q", "w", [GroupJoin("g")], 30_000)
        assert await store.add("q", [[NewJob("a", b"{}")]]) == [[Added("a", True)]]
    await pooler.start()
    await asyncio.gather(*(store.add("q", [[NewJob(f"b{n}", b"{}")]]) for n in range(20)))
    assert len((await store.exchange(epoch, "g", 1, [], 100)).claims) == 21
    await store.close()


def user_of(url: str) -> str:
    """Whom an address logs in, with the password."""
    return urlsplit(url).netloc.rpartition("@")[0]


@asynccontextmanager
async def forwarding(server: str, port: int) -> AsyncIterator[None]:
    """A port of this machine that leads to the server itself; connections are cut with the block."""
    parts = urlsplit(server)
    folder = dict(parse_qsl(parts.query)).get("host")
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if folder:
            inner, outer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{parts.port or 5432}")
        else:
            inner, outer = await asyncio.open_connection(parts.hostname, parts.port or 5432)
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)
