"""The part of the seam by which jobs belong to transactions of callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from checkmate_queue.core.model import NewJob, QueueFull
from checkmate_queue.store import Store


class Transactional(Protocol):
    """The way in through a transaction of the caller's: for engines that live in a database of his.

    Optional: a store that can't do it has no such method.
    """

    async def add_within(self, connection: object, queue: str, unit: Sequence[NewJob]) -> QueueFull | None:
        """Write one caller's jobs so that they exist if and only if the transaction of `connection` commits.

        1. Raises `InvalidArgumentError` for what is no connection of a kind that the engine knows, and
           `ConfigError` for one that leads elsewhere; the transaction goes on as if nothing had happened. So
           it does after `FencedError`, `UnknownQueueError` and `QueueFull`, which is what `add` would answer
           to this unit now; jobs of other transactions that are open don't count.
        2. Writes the jobs within the transaction. It waits for nobody, and nobody ever waits for it but
           `fence`.
        3. The commit wakes sleepers.

        `add`, `join`, `leave`, `exchange`, `tick`, `cancel`, `retry_failed`, `drop_group`, `fence` and this
        verb first *take in* all that was committed before they began, in the order of the calls, as `add`
        would store it: a job whose id lives is dropped (J7); the others get their place and their groups (G1,
        J5), and are never refused (J8). `delay_ms` and `expires_ms` count from the call. Until then readers
        see such jobs as delayed. Errors of the connection reach the caller as they are.
        """


class TransactionalStore(Store, Transactional, Protocol):
    """A whole backend that can do it, or says that it can't."""
