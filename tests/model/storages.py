"""Where the machines' stores keep their jobs: one storage for each history."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock, Lifecycle
from checkmate_queue.testing.conformance import Storage


class MemoryStorage:
    """The store is its own storage."""

    async def connect(self, clock: Clock, limits: StoreLimits) -> MemoryStore:
        """A new world."""
        return MemoryStore(limits, clock)

    async def destroy(self) -> None:
        """It goes with the store."""


class SqliteStorage:
    """A file in a folder of its own."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="checkmate-queue-"))

    async def connect(self, clock: Clock, limits: StoreLimits) -> SqliteStore:
        """A store on the file."""
        return SqliteStore(self._folder / "queue.db", limits=limits, clock=clock)

    async def destroy(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder)


class Shared:
    """A storage that many histories share, each with a queue of its own."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def connect(self, clock: Clock, limits: StoreLimits) -> Lifecycle:
        """A store on the storage."""
        return await self._storage.connect(clock, limits)

    async def destroy(self) -> None:
        """It stays for the others."""
