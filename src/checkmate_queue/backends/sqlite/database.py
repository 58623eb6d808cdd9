"""All that a store holds open: a connection for each kind of work, and the socket that wakes it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.checkpoints import Checkpoints
from checkmate_queue.backends.sqlite.connection import connect, unusable
from checkmate_queue.backends.sqlite.lane import Lane
from checkmate_queue.backends.sqlite.schema import prepare
from checkmate_queue.backends.sqlite.transaction import Transaction
from checkmate_queue.backends.sqlite.turnstile import Turnstile

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.connection import Synchronous
    from checkmate_queue.backends.sqlite.waker import Waker
    from checkmate_queue.core.model import StoreLimits
    from checkmate_queue.store import Clock


@dataclass(frozen=True, slots=True)
class Options:
    """How a store was configured."""

    path: str
    synchronous: Synchronous
    limits: StoreLimits
    clock: Clock
    patience: float


class Database:
    """An open file. Making one, and closing it, blocks."""

    def __init__(self, options: Options, waker: Waker) -> None:
        self._options = options
        self._waker = waker
        self._closing = ExitStack()
        try:
            self._prepare()
            self._checkpoints = self._make_checkpoints()
            self.writing = self._writing_lane()
            self.heartbeats = self._writing_lane()
            self.reading = self._reading_lane()
        except BaseException as error:
            self._closing.close()
            if isinstance(error, sqlite3.Error):
                raise unusable(options.path, error) from error
            raise

    def close(self) -> None:
        """Finish what was begun, and release everything."""
        self._closing.close()

    def _prepare(self) -> None:
        connection = self._connect()
        prepare(connection, self._options.path, time.monotonic() + self._options.patience)
        # This connection stays open, idle: the log that the turnstiles lie on exists as long as one does.

    def _make_checkpoints(self) -> Checkpoints:
        checkpoints = Checkpoints(self._connect(), self._turnstile())
        self._closing.callback(checkpoints.close)
        return checkpoints

    def _turnstile(self) -> Turnstile:
        turnstile = Turnstile(self._options.path)
        self._closing.callback(turnstile.close)
        return turnstile

    def _writing_lane(self) -> Lane:
        return self._lane(
            Lane(
                self._options.path,
                self._connect(),
                self._transaction,
                begin="BEGIN IMMEDIATE",
                turnstile=self._turnstile(),
                committed=self._committed,
                patience=self._options.patience,
                at_once=self._options.synchronous == "NORMAL",
            )
        )

    def _reading_lane(self) -> Lane:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return self._lane(
            Lane(
                self._options.path,
                connection,
                self._transaction,
                begin="BEGIN",
                turnstile=None,
                committed=self._committed,
                patience=self._options.patience,
                at_once=False,
            )
        )

    def _lane(self, lane: Lane) -> Lane:
        self._closing.callback(lane.close)
        return lane

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._options.path, self._options.synchronous)
        self._closing.callback(connection.close)
        return connection

    def _transaction(self, connection: sqlite3.Connection) -> Transaction:
        return Transaction(connection, self._options.clock, self._options.limits, self._waker.address)

    def _committed(self, transaction: Transaction) -> None:
        self._checkpoints.note(transaction)
        for queue, sleepers in transaction.news:
            self._waker.tell(queue, sleepers)
