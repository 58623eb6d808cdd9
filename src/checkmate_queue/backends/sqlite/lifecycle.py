"""Proving that the engine answers, making queues known, and closing them for a switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.session import refuse_fenced_registry
from checkmate_queue.store import FencedError, UnknownQueueError

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.transaction import Transaction
    from checkmate_queue.core.model import Millis


def ping(tx: Transaction) -> Millis:
    """See `Lifecycle.ping`."""
    tx.one("registry")
    return tx.clock()


def register(tx: Transaction, queue: str) -> None:
    """See `Lifecycle.register`."""
    row = tx.one("queue", (queue,))
    if row is None:
        refuse_fenced_registry(tx)
        tx.run("insert_queue", (queue, tx.clock()))
    elif row[1] is not None:
        raise FencedError(row[1])


def fence(tx: Transaction, queue: str | None, successor: str) -> None:
    """See `Fencing.fence`."""
    if queue is None:
        tx.run("fence_registry", (successor,))
        return
    row = tx.one("queue", (queue,))
    if row is None:
        raise UnknownQueueError(f"Queue {queue!r} was never registered with this backend.")
    tx.run("fence_queue", (row[0], successor))
    tx.wake(row[0], queue)
