"""The Redis backend against the contract, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, Conformance

if TYPE_CHECKING:
    from tests.servers.valkey import RedisStorage

pytest_plugins = ["tests.servers.valkey"]


class TestRedis(Conformance, verbs=ALL_VERBS):
    """Every rule."""

    @pytest.fixture
    def storage(self, redis_storage: RedisStorage) -> RedisStorage:
        """An empty storage."""
        return redis_storage
