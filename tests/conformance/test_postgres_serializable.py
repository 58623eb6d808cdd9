"""The PostgreSQL backend against the contract, where every transaction is serializable unless it asks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, Conformance

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]


@pytest.mark.full
class TestSerializable(Conformance, verbs=ALL_VERBS):
    """Every rule, on one schema."""

    @pytest.fixture
    def storage(self, postgres_storage: PostgresStorage) -> PostgresStorage:
        """An empty storage, with connections of that default."""
        joint = "&" if "?" in postgres_storage.url else "?"
        url = f"{postgres_storage.url}{joint}default_transaction_isolation=serializable"
        return replace(postgres_storage, url=url)
