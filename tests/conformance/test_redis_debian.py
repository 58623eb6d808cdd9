"""The Redis backend against the contract on Debian's Redis 7.0, which knows less than Valkey does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, Conformance
from tests.conformance.test_redis import CheckedStorage
from tests.servers.debian import find_program
from tests.servers.redis_process import RedisProcess

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    server = RedisProcess(tmp_path_factory.mktemp("redis") / "server", program=find_program("redis-server"))
    asyncio.run(server.start())
    yield server.url
    server.kill()


class TestRedisOfDebian(Conformance, verbs=ALL_VERBS):
    """Every rule; and nothing is left behind."""

    @pytest.fixture
    def storage(self, url: str) -> CheckedStorage:
        """An empty storage."""
        return CheckedStorage(url, f"test-{uuid4().hex}")
