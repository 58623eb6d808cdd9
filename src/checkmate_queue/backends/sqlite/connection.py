"""Connections to the file, and what its errors mean to a user."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from checkmate_queue.core.errors import BackendUnavailableError, ConfigError, QueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
Synchronous: TypeAlias = Literal["NORMAL", "FULL"]

_WAL_PAGES: Final = 20_000
_PRAGMAS: Final = (
    "PRAGMA secure_delete = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
    # A thread of its own moves the log into the file; this is for when it can't keep up.
    f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}",
    "PRAGMA journal_size_limit = 67108864",
)
_decode = partial(str, encoding="utf-8", errors="replace")


def check_path(path: str | os.PathLike[str]) -> str:
    """The path as text; raises `ConfigError` where no database can be."""
    text = os.fspath(path)
    if text in ("", ":memory:"):
        raise ConfigError(
            f"The SQLite backend needs a file, not {text!r}; for jobs in memory use memory:// instead."
        )
    if "\0" in text:
        raise ConfigError(f"The path {text!r} of the SQLite database holds a NUL character.")
    place = Path(text).absolute()
    try:
        is_folder, has_folder = place.is_dir(), place.parent.is_dir()
    except OSError as error:
        raise ConfigError(f"The path '{text}' of the SQLite database can't be reached: {error}.") from error
    if is_folder:
        raise ConfigError(f"'{text}' is a folder; the SQLite backend needs the path of a file.")
    if not has_folder:
        raise ConfigError(
            f"The folder '{place.parent}' of the SQLite database '{text}' does not exist; "
            "make it, or name another path."
        )
    return text


def connect(path: str, synchronous: Synchronous, deadline: float) -> sqlite3.Connection:
    """Open a connection that any thread may use, one at a time. It never waits for a lock by itself."""
    connection = sqlite3.connect(
        path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.text_factory = _decode
    try:
        for pragma in (*_PRAGMAS, f"PRAGMA synchronous = {synchronous}"):
            persist(partial(connection.execute, pragma), path, deadline)
    except BaseException:
        connection.close()
        raise
    return connection


# -- waiting for locks ---------------------------------------------------------------------------


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds a lock, and waiting helps."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)


def pauses(deadline: float) -> Iterator[None]:
    """Pause between attempts, a little longer each time, until the deadline (of `time.monotonic`).

    There is one attempt at least.
    """
    started = time.monotonic()
    yield
    while (now := time.monotonic()) < deadline:
        longest = min(0.005, max(0.0003, (now - started) / 20))
        time.sleep(min(deadline - now, longest * random.uniform(0.3, 1)))
        yield


def persist(action: Callable[[], T], path: str, deadline: float) -> T:
    """Repeat an action that meets locks of others until it is through."""
    for _ in pauses(deadline):
        try:
            return action()
        except sqlite3.Error as error:
            if not is_busy(error):
                raise
    raise BackendUnavailableError(_LOCKED.format(path=path))


# -- errors --------------------------------------------------------------------------------------

_LOCKED: Final = "The SQLite database '{path}' is locked by another process, for longer than the patience."
_REASONS: Final = {
    sqlite3.SQLITE_FULL: "its disk is full; free some space",
    sqlite3.SQLITE_READONLY: "it can't be written; make the file and its folder writable for this process",
    sqlite3.SQLITE_PERM: "it can't be written; make the file and its folder writable for this process",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened; check that the file and its folder may be read and written",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a copy, or move it away",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database; name another path, or move it away",
    sqlite3.SQLITE_IOERR: "its disk can't be read or written",
}
_WRONG_FILE: Final = (
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CANTOPEN,
)


def unavailable(path: str, error: sqlite3.Error) -> BackendUnavailableError:
    """What an error of the driver means while the store is in use."""
    if is_busy(error):
        return BackendUnavailableError(_LOCKED.format(path=path))
    return BackendUnavailableError(_sentence(path, error))


def unusable(path: str, error: sqlite3.Error) -> QueueError:
    """What an error of the driver means while the store is opened."""
    if _code(error) in _WRONG_FILE:
        return ConfigError(_sentence(path, error))
    return unavailable(path, error)


def _sentence(path: str, error: sqlite3.Error) -> str:
    reason = _REASONS.get(_code(error), "it can't be used")
    return f"The SQLite database '{path}' is unavailable: {reason} ({error})."


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 where the driver itself complains."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
