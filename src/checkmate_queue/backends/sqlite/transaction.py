"""A transaction that verbs work in."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, TypeAlias

from checkmate_queue.backends.sqlite.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkmate_queue.core.model import StoreLimits
    from checkmate_queue.store import Clock

Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = tuple[Any, ...]


class Unfinished(Exception):
    """A verb did a part that stands by itself; commit that, and run the verb again."""


class Transaction:
    """What the verbs of one transaction share. Statements are called by the names of their files.

    `news` collects (queue, addresses of sleepers): to be told once the transaction is committed. `payload` is
    the size of what callers handed over.
    """

    __slots__ = ("_changes_before", "address", "clock", "connection", "limits", "news", "payload")

    def __init__(
        self, connection: sqlite3.Connection, clock: Clock, limits: StoreLimits, address: str
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.limits = limits
        self.address = address
        self.news: list[tuple[str, list[str]]] = []
        self.payload = 0
        self._changes_before = connection.total_changes

    @property
    def changes(self) -> int:
        """How many rows it has changed."""
        return self.connection.total_changes - self._changes_before

    def run(self, name: str, values: Values = ()) -> int:
        """Run a statement, and return how many rows it changed."""
        return self.connection.execute(statement(name), values).rowcount

    def run_many(self, name: str, rows: Iterable[Values]) -> int:
        """Run a statement for each of the rows, and return how many rows it changed."""
        return self.connection.executemany(statement(name), rows).rowcount

    def all(self, name: str, values: Values = ()) -> list[Row]:
        """All rows that a statement returns."""
        return self.connection.execute(statement(name), values).fetchall()

    def one(self, name: str, values: Values = ()) -> Row | None:
        """The first row that a statement returns."""
        row: Row | None = self.connection.execute(statement(name), values).fetchone()
        return row

    def wake(self, queue: int, name: str) -> None:
        """Have the sleepers of a queue told of news; they are sleepers no more."""
        sleepers = [row[0] for row in self.all("sleepers", (queue,))]
        if sleepers:
            self.run("delete_sleepers", (queue,))
            self.news.append((name, sleepers))
