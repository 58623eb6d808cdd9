"""The Redis backend against the contract, on a real server."""

from __future__ import annotations

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, MOVING_VERBS, Conformance
from tests.servers.redis_leaks import leaks
from tests.servers.redis_storage import RedisStorage

pytest_plugins = ["tests.servers.valkey"]


class CheckedStorage(RedisStorage):
    """What ended in it must have left no key by the end of a test."""

    async def destroy(self) -> None:
        """Remove the keys, after a look at them."""
        found = await leaks(self)
        await super().destroy()
        assert found == []


class TestRedis(Conformance, verbs=ALL_VERBS | MOVING_VERBS):
    """Every rule; and nothing is left behind."""

    @pytest.fixture
    def storage(self, redis_storage: RedisStorage) -> CheckedStorage:
        """An empty storage."""
        return CheckedStorage(redis_storage.url, redis_storage.prefix)
