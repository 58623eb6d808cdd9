"""An open Redis store with one queue, for tests that call its verbs one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from tests.servers.redis_storage import RedisStorage

pytest_plugins = ["tests.servers.valkey"]


@pytest.fixture
def clock() -> TravellingClock:
    """The engine's clock."""
    return TravellingClock()


@pytest.fixture
async def store(
    redis_storage: RedisStorage, clock: TravellingClock, request: pytest.FixtureRequest
) -> AsyncIterator[RedisStore]:
    """An open store with the queue that the tests' module names `QUEUE`."""
    store = await redis_storage.connect(clock)
    await store.open()
    await store.register(request.module.QUEUE)
    yield store
    await store.close()
