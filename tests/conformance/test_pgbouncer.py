"""The PostgreSQL backend against the contract, behind a pooler that shares connections by transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, Conformance

if TYPE_CHECKING:
    from tests.servers.pgbouncer import PooledStorage

pytest_plugins = ["tests.servers.postgres", "tests.servers.pgbouncer"]


@pytest.mark.full
class TestPgBouncer(Conformance, verbs=ALL_VERBS):
    """Every rule, on one schema."""

    @pytest.fixture
    def storage(self, pooled_storage: PooledStorage) -> PooledStorage:
        """An empty storage."""
        return pooled_storage
