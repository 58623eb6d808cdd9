"""The PostgreSQL backend against the contract, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, MOVING_VERBS, Conformance

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]


class TestPostgres(Conformance, verbs=ALL_VERBS | MOVING_VERBS):
    """Every rule, on one schema."""

    @pytest.fixture
    def storage(self, postgres_storage: PostgresStorage) -> PostgresStorage:
        """An empty storage."""
        return postgres_storage
