"""`connection=` where there is no transaction to take part in."""

from __future__ import annotations

import sqlite3

import pytest

from checkmate_queue import ConfigError
from tests.system.storages import ManagerFor, Storage


@pytest.mark.parametrize("storage", ["memory", "sqlite", "redis"], indirect=True)
async def test_other_backends_name_themselves(manager_for: ManagerFor, storage: Storage) -> None:
    """SPEC 1: the error says which backend it is, and what would be right; nothing is stored."""
    manager = await manager_for()
    queue = manager.get_queue("q")
    connection = sqlite3.connect(":memory:")
    said = rf"'{storage.kind}' can't enqueue within a transaction.*'postgres'.*after the commit"
    with pytest.raises(ConfigError, match=said):
        await queue.enqueue(1, connection=connection)
    with pytest.raises(ConfigError, match=said):
        await queue.enqueue_many([1, 2], connection=connection)
    connection.close()
    assert await queue.list_jobs() == []
    assert (await queue.enqueue(3)).created
