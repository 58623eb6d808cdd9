"""What a server, or the way to it, can do to the Redis backend: nothing that it kept is lost (L2, G7)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue import BackendUnavailableError, Job, QueueManager
from checkmate_queue.testing.waiting import wait_until
from tests.servers.dropping_proxy import DroppingProxy
from tests.servers.redis_process import DURABLE, RedisProcess

PATIENCE = 1.0
LEASE = 3.0


class Traffic:
    """A producer and consumers that go on whatever happens, and remember what they were told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accepted: list[str] = []
        self.refused = 0
        self.slowest = 0.0
        self.handled: Counter[str] = Counter()
        self._producer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Traffic:
        options: dict[str, Any] = {"patience_seconds": PATIENCE, "lease_seconds": LEASE}
        self.consuming = QueueManager(self.url, **options)
        self.producing = QueueManager(self.url, **options)
        await self.consuming.start()
        await self.producing.start(consume=False)
        await self.consuming.get_queue("work", int).consume(
            self._handle, consumer_group="g", max_retries=0, concurrency=5
        )
        self._producer = asyncio.create_task(self._produce())
        await self.flow()
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._producer is not None
        self._producer.cancel()
        with suppress(asyncio.CancelledError):
            await self._producer
        await self.producing.shutdown(timeout=1)
        await self.consuming.shutdown(timeout=1)

    async def flow(self) -> None:
        """Wait until another fifty jobs were accepted, and another fifty handled."""
        accepted, handled = len(self.accepted) + 50, len(self.handled) + 50
        await wait_until(
            lambda: len(self.accepted) >= accepted and len(self.handled) >= handled,
            description="jobs flow",
            timeout=60,
        )

    async def settle(self) -> None:
        """End production, and wait until all that was accepted has been handled."""
        assert self._producer is not None
        self._producer.cancel()
        await wait_until(
            lambda: set(self.accepted) <= set(self.handled),
            description="everything that was accepted is handled",
            timeout=60,
        )

    async def _produce(self) -> None:
        queue = self.producing.get_queue("work", int)
        loop = asyncio.get_running_loop()
        number = 0
        while True:
            number += 1
            job_id = f"job-{number}"
            while job_id not in self.accepted[-1:]:
                begun = loop.time()
                try:
                    await queue.enqueue(number, job_id=job_id)
                except BackendUnavailableError:
                    self.refused += 1
                    self.slowest = max(self.slowest, loop.time() - begun)
                else:
                    self.accepted.append(job_id)

    async def _handle(self, job: Job[int]) -> None:
        await asyncio.sleep(0.002)
        self.handled[job.id] += 1


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisProcess]:
    """A server that keeps an append-only file."""
    server = RedisProcess(tmp_path / "server", *DURABLE, "--enable-debug-command", "yes")
    await server.start()
    yield server
    server.kill()


async def test_a_server_that_is_killed_and_comes_back_lost_nothing(server: RedisProcess) -> None:
    """L2, J3: with an append-only file; producers are told after their patience, consumers go on."""
    async with Traffic(server.url) as traffic:
        server.kill()
        await wait_until(lambda: traffic.refused >= 2, description="producers are told", timeout=30)
        await server.start()
        await traffic.flow()
        await traffic.settle()
        stats = await traffic.producing.get_queue("work", int).get_stats()
    assert traffic.slowest < PATIENCE + 3
    assert stats.completed >= len(traffic.accepted)
    assert (stats.pending, stats.processing, stats.failed) == (0, 0, 0)


async def test_connections_that_are_killed_are_made_again(server: RedisProcess) -> None:
    """L2: nobody notices, and nothing happens twice."""
    async with Traffic(server.url) as traffic:
        killed = 0
        for _ in range(20):
            with server.client() as client:
                killed += client.client_kill_filter(_type="normal", skipme=True)
                killed += client.client_kill_filter(_type="pubsub", skipme=True)
            await traffic.flow()
        await traffic.settle()
    assert killed >= 20
    assert traffic.refused == 0
    assert set(traffic.handled.values()) == {1}


async def test_a_server_that_is_blocked_is_waited_for(server: RedisProcess) -> None:
    """L2, G12: for longer than a lease; no lease is lost, since nobody reached the server meanwhile."""
    async with Traffic(server.url) as traffic:
        with server.client() as client:
            await asyncio.to_thread(client.execute_command, "DEBUG", "SLEEP", str(LEASE + 2))
        assert traffic.refused >= 1
        await traffic.flow()
        await traffic.settle()
    assert traffic.slowest < PATIENCE + 3
    assert set(traffic.handled.values()) == {1}


async def through_silence(server: RedisProcess, seconds: float) -> None:
    """Drop what is under way for some time; both sides keep their connections and hear nothing."""
    async with DroppingProxy(server.port) as proxy:
        async with Traffic(f"redis://127.0.0.1:{proxy.port}") as traffic:
            proxy.drop()
            await asyncio.sleep(seconds)
            assert traffic.refused >= 2
            assert proxy.dropped > 0
            proxy.pass_on()
            await traffic.flow()
            await traffic.settle()
        assert traffic.slowest < PATIENCE + 3


async def test_a_network_that_drops_everything_for_a_while(server: RedisProcess) -> None:
    """L2"""
    await through_silence(server, 4)


@pytest.mark.full
async def test_a_network_that_drops_everything_for_twenty_seconds(server: RedisProcess) -> None:
    """L2"""
    await through_silence(server, 20)
