"""Jobs that belong to callers' transactions, and the fence that waits for these."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from checkmate_queue.backends.postgres.arguments import job_columns
from checkmate_queue.backends.postgres.borrowed import Borrowed, borrowed
from checkmate_queue.backends.postgres.calls import Calls
from checkmate_queue.backends.postgres.statements import quote, statement
from checkmate_queue.core.errors import BackendSwitchError, BackendUnavailableError, ConfigError
from checkmate_queue.core.model import QueueFull
from checkmate_queue.store import BATCH, UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from checkmate_queue.backends.postgres.connection import Connections
    from checkmate_queue.core.model import Millis, NewJob, StoreLimits
    from checkmate_queue.store import Clock

_BYTES = 4 << 20
_PAUSE = 0.05


class _Inbox(NamedTuple):
    """See `inbox_of.sql`."""

    queue: int | None
    database: int
    started: str
    inbox: int
    name: str
    channel: str


class Transactions(Calls):
    """`Transactional`, and `Fencing`."""

    def __init__(
        self,
        connections: Connections,
        schema: str,
        limits: StoreLimits,
        clock: Clock | None,
        patience_ms: Millis,
    ) -> None:
        super().__init__(connections, schema, limits, clock)
        self._patience_ms = patience_ms
        self._inboxes: dict[str, _Inbox] = {}

    async def add_within(self, connection: object, queue: str, unit: Sequence[NewJob]) -> QueueFull | None:
        """See `Transactional.add_within`."""
        async with borrowed(connection) as caller:
            inbox, is_full = await self._opened(caller, queue, [job.id for job in unit])
            if is_full:
                return QueueFull(self._limits.max_queue_size or 0)
            for part in _parts(unit):
                await caller.execute(
                    statement("write_inbox", self._schema),
                    *(inbox.queue, self._now(), len(part), sum(map(_weight, part))),
                    *job_columns(part),
                    *(inbox.channel, queue),
                )
        return None

    async def fence(self, queue: str | None, successor: str) -> None:
        """See `Fencing.fence`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_ms / 1000
        wait_ms = max(1, self._patience_ms // 2)
        while (await self._call("fence", queue, successor, wait_ms))["o_status"] == "busy":
            if loop.time() >= deadline:
                raise BackendSwitchError(
                    f"Transactions that have enqueued jobs in queue {queue!r} are open for longer than "
                    f"{self._patience_ms / 1000:g} s; switch when they have ended. Nothing has changed."
                )
        if queue is not None:
            await self._complete(queue)

    async def _opened(self, caller: Borrowed, queue: str, ids: list[str]) -> tuple[_Inbox, bool]:
        """A queue's inbox, held and not fenced; and whether the queue is too full for these ids."""
        while True:
            inbox = await self._held(caller, queue)
            found = await self._call(
                "open_inbox",
                *(queue, self._now(), self._slot, self._unclaimed, self._limits.max_queue_size, ids),
            )
            if found["o_queue"] == inbox.queue:
                return inbox, found["o_full"]
            del self._inboxes[queue]  # The storage was made anew.

    async def _held(self, caller: Borrowed, queue: str) -> _Inbox:
        """Keep the fence away until the caller's transaction ends; wait for one that was first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2 * self._patience_ms / 1000
        known = self._inboxes.get(queue)
        inbox = known or await self._find(queue)
        while True:
            here, allowed, held = await caller.row(statement("hold_inbox", self._schema), *inbox[:4])
            if not here and known is not None:
                known, inbox = None, await self._find(queue)  # The server may have been restarted.
                continue
            if not here or not allowed:
                raise self._refusal(queue, inbox, here)
            if held:
                return inbox
            if loop.time() >= deadline:
                raise BackendUnavailableError(f"Queue {queue!r} is being closed for a switch of the backend.")
            await asyncio.sleep(_PAUSE)

    async def _find(self, queue: str) -> _Inbox:
        inbox = _Inbox(*await self._connections.row(statement("inbox_of", self._schema), queue))
        if inbox.queue is None:
            raise UnknownQueueError
        self._inboxes[queue] = inbox
        return inbox

    def _refusal(self, queue: str, inbox: _Inbox, here: bool) -> ConfigError:
        if not here:
            return ConfigError(
                f"The connection leads to another database than queue {queue!r}, which is in the schema "
                f"{self._schema!r} of {inbox.name!r}; enqueue with a connection to that, or without one."
            )
        schema = quote(self._schema)
        return ConfigError(
            f"The connection may not write to {schema}.inbox: its transaction is read-only, or its role "
            f"lacks GRANT USAGE ON SCHEMA {schema} and GRANT INSERT ON {schema}.inbox"
        )


def _parts(unit: Sequence[NewJob]) -> Iterator[list[NewJob]]:
    """The unit in rows of the inbox: each at most a batch, and little enough for one value."""
    part: list[NewJob] = []
    weight = 0
    for job in unit:
        if part and (len(part) >= BATCH or weight + _weight(job) > _BYTES):
            yield part
            part, weight = [], 0
        part.append(job)
        weight += _weight(job)
    if part:
        yield part


def _weight(job: NewJob) -> int:
    return len(job.data) + len(job.metadata)
