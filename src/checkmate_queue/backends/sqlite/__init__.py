"""The SQLite backend: one file that the processes of one machine share."""

from checkmate_queue.backends.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
