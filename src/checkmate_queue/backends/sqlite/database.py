"""All that a store holds open: a connection for each kind of work, and the word for who sleeps."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.checkpoints import Checkpoints
from checkmate_queue.backends.sqlite.connection import check_path, connect, unusable
from checkmate_queue.backends.sqlite.lane import Lane
from checkmate_queue.backends.sqlite.schema import prepare
from checkmate_queue.backends.sqlite.statements import statement
from checkmate_queue.backends.sqlite.transaction import Transaction
from checkmate_queue.backends.sqlite.turnstile import Turnstile
from checkmate_queue.core.errors import BackendUnavailableError

if TYPE_CHECKING:
    import os

    from checkmate_queue.backends.sqlite.connection import Synchronous
    from checkmate_queue.backends.sqlite.waker import Waker
    from checkmate_queue.core.model import StoreLimits
    from checkmate_queue.store import Clock


@dataclass(frozen=True, slots=True)
class Options:
    """How a store was configured."""

    path: str | os.PathLike[str]
    synchronous: Synchronous
    limits: StoreLimits
    clock: Clock
    patience: float


class Database:
    """An open file. Making one, and closing it, blocks."""

    def __init__(self, options: Options, waker: Waker) -> None:
        self._options = options
        self._waker = waker
        self._path = check_path(options.path)
        # SQLite keeps its log beside the file itself, not beside a link to it.
        self._file = Path(self._path).resolve()
        self._deadline = time.monotonic() + options.patience
        self._closing = ExitStack()
        try:
            self._prepare()
            self._identity = self._identify()
            self._checkpoints = self._make_checkpoints()
            self.writing = self._writing_lane()
            self.heartbeats = self._writing_lane()
            self.reading = self._reading_lane()
        except BaseException as error:
            self._closing.close()
            if isinstance(error, sqlite3.Error):
                raise unusable(self._path, error) from error
            raise

    def close(self) -> None:
        """Finish what was begun, and release everything."""
        self._closing.close()

    def _no_longer_sleep(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):  # one that stays does no harm: who wakes it finds nobody
            connection.execute(statement("delete_sleeper"), (self._waker.address,))

    def _prepare(self) -> None:
        connection = self._connect()
        prepare(connection, self._path, self._deadline)
        # This connection stays open, idle: the log that the turnstiles lie on exists as long as one does.
        self._closing.callback(self._no_longer_sleep, connection)

    def _make_checkpoints(self) -> Checkpoints:
        checkpoints = Checkpoints(self._connect(), self._turnstile())
        self._closing.callback(checkpoints.close)
        return checkpoints

    def _writing_lane(self) -> Lane:
        lane = Lane(
            self._path,
            self._connect(),
            self._transaction,
            check=self._check_in_place,
            begin="BEGIN IMMEDIATE",
            turnstile=self._turnstile(),
            committed=self._committed,
            patience=self._options.patience,
            at_once=self._options.synchronous == "NORMAL",
        )
        self._closing.callback(lane.close)
        return lane

    def _reading_lane(self) -> Lane:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        lane = Lane(
            self._path,
            connection,
            self._transaction,
            check=self._check_in_place,
            begin="BEGIN",
            turnstile=None,
            committed=self._committed,
            patience=self._options.patience,
            at_once=False,
        )
        self._closing.callback(lane.close)
        return lane

    def _connect(self) -> sqlite3.Connection:
        connection = connect(str(self._file), self._options.synchronous, self._deadline)
        self._closing.callback(connection.close)
        return connection

    def _turnstile(self) -> Turnstile:
        turnstile = Turnstile(str(self._file))
        self._closing.callback(turnstile.close)
        return turnstile

    # -- what lanes ask for ----------------------------------------------------------------------

    def _identify(self) -> tuple[int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_in_place(self) -> None:
        """A file that was removed can still be written, but nobody would ever find what is in it."""
        if self._identify() != self._identity:
            raise BackendUnavailableError(
                f"The SQLite database '{self._path}' was removed or replaced while it was in use; "
                "put it back, or restart the process to begin with what is there now."
            )

    def _transaction(self, connection: sqlite3.Connection) -> Transaction:
        return Transaction(connection, self._options.clock, self._options.limits, self._waker.address)

    def _committed(self, transaction: Transaction) -> None:
        self._checkpoints.note(transaction)
        for queue, sleepers in transaction.news:
            self._waker.tell(queue, sleepers)
