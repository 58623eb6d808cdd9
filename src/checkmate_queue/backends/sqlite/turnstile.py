"""Taking turns at writing: without it whoever asks most often would starve the others."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from typing import Final

from checkmate_queue.backends.sqlite.connection import pauses

_PATIENCE: Final = 0.25
_IGNORED_SECONDS: Final = 3.0
"""How long the turnstile is passed by once somebody has been in it for too long."""


class Turnstile:
    """A lock that is held by whoever waits for SQLite's own, among all processes that share a file.

    Whoever has just written must pass it too, so that the one that waits there comes first. It only orders:
    SQLite's lock is what excludes, and whoever waited here for a quarter of a second passes it by for some
    seconds (the process that is in it may have been suspended). It lies on the write-ahead log, which exists
    while anybody has the database open. (Not on the database: closing any handle of that drops SQLite's own
    locks.)
    """

    def __init__(self, path: str) -> None:
        self._ignored_until = 0.0
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)

    def try_enter(self) -> bool:
        """Enter if nobody waits."""
        if self._file is None or time.monotonic() < self._ignored_until:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def enter(self, deadline: float) -> None:
        """Enter once those who were first have passed; in bounded time anyhow."""
        too_long = time.monotonic() + _PATIENCE
        for _ in pauses(min(deadline, too_long)):
            if self.try_enter():
                return
        if (now := time.monotonic()) >= too_long:
            self._ignored_until = now + _IGNORED_SECONDS

    def leave(self) -> None:
        """Let others in."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
