"""The SQLite backend against the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock
from checkmate_queue.testing.conformance import ALL_VERBS, MOVING_VERBS, Conformance


class SqliteStorage:
    """One file in a folder of its own."""

    def __init__(self, path: Path, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> None:
        self._path = path
        self._synchronous = synchronous

    async def connect(self, clock: Clock, limits: StoreLimits) -> SqliteStore:
        """A store on the file."""
        return SqliteStore(self._path, clock=clock, limits=limits, synchronous=self._synchronous)

    async def destroy(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


class TestSqlite(Conformance, verbs=ALL_VERBS | MOVING_VERBS):
    """Every rule, on one file."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> SqliteStorage:
        """An empty storage."""
        return SqliteStorage(tmp_path / "queue.db")


@pytest.mark.full
class TestSyncedSqlite(Conformance, verbs=ALL_VERBS | MOVING_VERBS):
    """The same where every commit is synced, which takes a thread."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> SqliteStorage:
        """An empty storage."""
        return SqliteStorage(tmp_path / "queue.db", "FULL")
