"""The part of the seam by which everything moves from one store to another (B2, B3, B6).

    old: fence the registry and each queue · export … export          · clear   or, to undo it, reopen
    new: receive                           · restore … restore · admit

What moves is never in two stores that accept. The old one is fenced before anything is read from it. The
new one is closed from `receive` on, and accepts from `admit` on.

All verbs may be repeated after a lost answer, and by another process after the first one died. Those of
the new store name a `token`, unique for each move: what a mover that was given up may still send is
refused with `MoveLostError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from checkmate_queue.core.errors import QueueError
from checkmate_queue.core.model import Epoch, StoreLimits
from checkmate_queue.core.moving import Export, HeldClaim, Moved
from checkmate_queue.store import Store

EXPORT_BYTES = 4 * 1024 * 1024
"""About how many bytes of payload one export holds at most: memory stays bounded, however many jobs move."""


class MoveLostError(QueueError):
    """Another process has taken this move over, or it has ended."""


class Moving(Protocol):
    """Emptying one store into another."""

    async def export(self, queue: str, cursor: str = "", limit: int = 1000) -> Export:
        """The next records of a fenced queue: at most about `limit`, and about `EXPORT_BYTES` of payload.

        An empty `cursor` asks for the first ones, the cursor of an answer for those after it; while the
        queue stays fenced, the same cursor gives the same records. They come in this order:

        1. the `MovedQueue`; 2. groups; 3. epochs, dead ones too if they are in a group or hold something;
        4. schedules by id; 5. jobs by key; 6. unclaimed ones, in their order; 7. ready deliveries, group
        after group, those of one priority in starting order; 8. retries; 9. claims and lapsed claims; 10.
        failed entries, the oldest first.

        What an engine does in batches (filling a new group, clearing a dropped one) it completes before.
        What expired but was not swept may come, or end as `expired` here.
        """

    async def is_vacant(self) -> bool:
        """Whether `receive` would take records: changes nothing."""

    async def receive(self, token: str, successor: str) -> bool:
        """Close the store and make it ready for records of this move; False where it is not empty.

        A store is empty when no queue is registered; one that was cleared, or that a move began to fill and
        never admitted, is emptied of what is left. From here to `admit` every writing verb on any queue,
        known or not, raises `FencedError(successor)`. What the fence of a cleared store said is kept for
        `reopen`.
        """

    async def restore(self, token: str, queue: str, n: int, records: Sequence[Moved]) -> None:
        """Store records of a queue, in the order in which `export` gave them.

        `n` counts the calls of a move from 1; a repeated n stores nothing. Keys may be changed, order and
        name spaces may not. No epoch gets a number that this store ever gave to another one. No limit of
        a full queue holds (J8). Any other token than that of the last `receive` raises `MoveLostError`, and
        so does a token that was admitted.
        """

    async def admit(self, token: str) -> None:
        """Accept from now on: lift all fences, let the leases of living epochs start anew, without a gap.

        Repeating it with the token that was admitted last has no effect; any other raises `MoveLostError`.
        """

    async def reopen(self, successor: str) -> None:
        """Lift those fences, of queues and of the registry, that say exactly this.

        A cleared or half-filled store that is reopened is an empty one again. One that `receive` found
        closed, since it had been switched away from, is closed again as it was: who never heard of that
        switch must not find it open.
        """

    async def clear(self, successor: str) -> None:
        """Remove all queues, keep the settings. From then on every writing verb, on any queue, raises
        `FencedError(successor)`.

        Does nothing where the fence of the registry is not exactly this: a mover that was given up, and comes
        late, finds a store that may be in use again.
        """

    async def held(self, epoch: Epoch) -> list[HeldClaim]:
        """The claims of a living epoch, lapsed ones left out, in the order in which they were claimed.

        A worker whose queue was moved joins again under its name, and so finds its epoch; its claims have
        new keys, and it knows them by their groups, ids and order. Renews the lease.
        """


@runtime_checkable
class Limitable(Protocol):
    """A store that stays the same one, since all that it holds lives in it, whatever its config becomes."""

    def limit(self, limits: StoreLimits) -> None:
        """Keep to these limits from now on (B1)."""


class MovableStore(Store, Moving, Protocol):
    """A store that can be switched to and from."""
