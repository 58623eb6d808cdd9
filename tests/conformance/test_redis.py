"""The Redis backend against the contract, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, Conformance
from tests.servers.redis_leaks import leaks
from tests.servers.redis_storage import RedisStorage

pytest_plugins = ["tests.servers.valkey"]


class TestRedis(Conformance, verbs=ALL_VERBS):
    """Every rule; and nothing is left behind."""

    @pytest.fixture
    async def storage(self, redis_storage: RedisStorage) -> AsyncIterator[RedisStorage]:
        """An empty storage; what ended in it must have left no key."""
        yield redis_storage
        assert await leaks(redis_storage) == []
