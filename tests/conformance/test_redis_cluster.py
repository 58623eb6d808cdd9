"""The Redis backend against the contract on a cluster, which refuses to touch two slots at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, Conformance
from tests.conformance.test_redis import CheckedStorage
from tests.servers.redis_constellations import Cluster

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running cluster."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    asyncio.run(cluster.start())
    yield cluster.url
    cluster.kill()


class TestRedisCluster(Conformance, verbs=ALL_VERBS):
    """Every rule; and nothing is left behind."""

    @pytest.fixture
    def storage(self, url: str) -> CheckedStorage:
        """An empty storage."""
        return CheckedStorage(url, f"test-{uuid4().hex}")
