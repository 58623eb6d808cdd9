"""The schema of the file: whose it is, its version, and how it gets to the current one (U1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from checkmate_queue.backends.sqlite.connection import persist
from checkmate_queue.backends.sqlite.statements import migrations, split
from checkmate_queue.core.errors import ConfigError

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID: Final = 0x434D5155
"""Marks a file as ours ("CMQU")."""


def prepare(connection: sqlite3.Connection, path: str, deadline: float) -> None:
    """Bring a new or older file to the current schema; any number of processes may do so at once.

    Raises `ConfigError` for a file of somebody else, or of a newer schema, which stays as it is.
    """
    persist(lambda: _look(connection, path), path, deadline)
    mode = persist(lambda: _value(connection, "PRAGMA journal_mode = WAL"), path, deadline)
    if mode != "wal":
        raise ConfigError(
            f"The SQLite database '{path}' can't keep a write-ahead log here; "
            "it must be on a disk of this machine, not on a network drive."
        )
    persist(lambda: _migrate(connection, path), path, deadline)


def _look(connection: sqlite3.Connection, path: str) -> None:
    """Check the file as it is at one moment: another process may be making its schema."""
    connection.execute("BEGIN")
    try:
        _check(connection, path)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _check(connection: sqlite3.Connection, path: str) -> int:
    """The version of the file's schema, which must be ours and not newer than we know."""
    application = _value(connection, "PRAGMA application_id")
    version = int(str(_value(connection, "PRAGMA user_version")))
    empty = (
        application == 0 and version == 0 and _value(connection, "SELECT count(*) FROM sqlite_master") == 0
    )
    if application != APPLICATION_ID and not empty:
        raise ConfigError(
            f"The SQLite database '{path}' belongs to another application; "
            "name a path of its own for the queue."
        )
    newest = migrations()[-1][0]
    if version > newest:
        raise ConfigError(
            f"The SQLite database '{path}' has schema version {version}, but this version of Checkmate Queue "
            f"knows none above {newest}; upgrade Checkmate Queue."
        )
    return version


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        version = _check(connection, path)
        for number, script in migrations():
            if number > version:
                for statement in split(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        if version == 0:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _value(connection: sqlite3.Connection, query: str) -> object:
    row = connection.execute(query).fetchone()
    return row[0]
