"""Moving the write-ahead log into the file, which syncs the disk, on a thread of its own."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from checkmate_queue.backends.sqlite.connection import pauses
from checkmate_queue.backends.sqlite.statements import statement

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.transaction import Transaction
    from checkmate_queue.backends.sqlite.turnstile import Turnstile

_PAGE: Final = 4096
_DUE: Final = 1500
"""Pages written, about, after which the log is moved."""
_LONG: Final = 6000
"""Pages of log from which writers are held up, for a moment, so that it begins anew."""
_WAIT_SECONDS: Final = 0.1


class Checkpoints:
    """Looks after the log of one database. Several processes may do so at once."""

    def __init__(self, connection: sqlite3.Connection, turnstile: Turnstile) -> None:
        self._connection = connection
        self._turnstile = turnstile
        self._written = 0.0
        self._due = Event()
        self._closed = False
        self._thread: Thread | None = None

    def note(self, transaction: Transaction) -> None:
        """Count what a transaction wrote; how many pages is an estimate, by what has been measured."""
        if not transaction.changes:
            return
        self._written += 5 + transaction.changes / 16 + transaction.payload / _PAGE
        if self._written < _DUE:
            return
        self._written = 0
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="checkmate-queue-sqlite-log", daemon=True)
            self._thread.start()
        self._due.set()

    def close(self) -> None:
        """Stop. Blocks while a checkpoint is under way."""
        self._closed = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._closed:
                return
            with suppress(
                sqlite3.Error, OSError
            ):  # a full disk or a lock: it is tried again after some more writes
                self._move()

    def _move(self) -> None:
        _, pages, _ = self._checkpoint("PASSIVE")
        if pages < _LONG:
            return
        self._turnstile.enter(time.monotonic() + _WAIT_SECONDS)
        try:
            self._begin_anew()
        finally:
            self._turnstile.leave()

    def _begin_anew(self) -> None:
        for _ in pauses(time.monotonic() + _WAIT_SECONDS):
            if self._checkpoint("RESTART")[0] == 0:
                # The first write to a new log syncs the disk: better here than where a caller waits.
                self._connection.execute(statement("touch"))
                return

    def _checkpoint(self, how: str) -> tuple[int, int, int]:
        busy, log, moved = self._connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
        return busy, log, moved
