"""The memory backend: the executable specification, and what tests use."""

from checkmate_queue.backends.memory.store import MemoryStore

__all__ = ["MemoryStore"]
