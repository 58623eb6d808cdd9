"""Where the machines' stores keep their jobs."""

from __future__ import annotations

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock


class MemoryStorage:
    """The store is its own storage."""

    async def connect(self, clock: Clock, limits: StoreLimits) -> MemoryStore:
        """A new world."""
        return MemoryStore(limits, clock)

    async def destroy(self) -> None:
        """It goes with the store."""
