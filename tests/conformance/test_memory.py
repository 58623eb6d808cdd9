"""The memory backend against the contract."""

from __future__ import annotations

import pytest

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock
from checkmate_queue.testing.conformance import ALL_VERBS, MOVING_VERBS, Conformance


class MemoryStorage:
    """One object is all there is: whoever connects gets it."""

    def __init__(self) -> None:
        self._store: MemoryStore | None = None

    async def connect(self, clock: Clock, limits: StoreLimits) -> MemoryStore:
        """The store of this storage."""
        self._store = self._store or MemoryStore(limits, clock)
        return self._store

    async def destroy(self) -> None:
        """Let it go."""
        self._store = None


class TestMemory(Conformance, verbs=ALL_VERBS | MOVING_VERBS):
    """Every rule, on the executable specification."""

    @pytest.fixture
    def storage(self) -> MemoryStorage:
        """An empty storage."""
        return MemoryStorage()
