"""Reading everything of a fenced queue, batch by batch (B2)."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from checkmate_queue.backends.redis import scheduling
from checkmate_queue.backends.redis.job_records import unpack_job
from checkmate_queue.backends.redis.records import readable_id, readable_payload
from checkmate_queue.core.model import Failure
from checkmate_queue.core.moving import (
    Export,
    Moved,
    MovedClaim,
    MovedEpoch,
    MovedFailure,
    MovedGroup,
    MovedQueue,
    MovedReady,
    MovedRetry,
    MovedSchedule,
    MovedUnclaimed,
)
from checkmate_queue.moving import EXPORT_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from checkmate_queue.backends.redis.connection import Argument, Connection
    from checkmate_queue.core.model import Outcome

Indexes: TypeAlias = "dict[str, array[int]]"
"""The keys of the jobs of queues that are being exported, in their order."""

_OUTCOMES: Final[tuple[Outcome, ...]] = ("completed", "failed", "expired", "cancelled")


async def export(connection: Connection, indexes: Indexes, queue: str, cursor: str, limit: int) -> Export:
    """The next records. The cursor is the number of a section, and behind what to go on in it."""
    section, after = json.loads(cursor) if cursor else (0, None)
    reader = _Reader(connection, indexes, queue, limit)
    sections: list[Callable[[Any], Awaitable[Any]]] = [
        reader.frame, reader.schedules, reader.jobs, reader.unclaimed,
        reader.ready, reader.retries, reader.claims, reader.failures,
    ]  # fmt: skip
    while section < len(sections) and reader.room > 0:
        after = await sections[section](after)
        if after is None:
            section += 1
    reached = None if section == len(sections) else json.dumps([section, after])
    return Export(reader.records, reached)


@dataclass(slots=True)
class _Reader:
    """Reads sections: each takes what it was told to go on behind, and says the same of itself, or None."""

    connection: Connection
    indexes: Indexes
    queue: str
    limit: int
    records: list[Moved] = field(default_factory=list)
    size: int = 0

    @property
    def room(self) -> int:
        """How many more records fit."""
        return 0 if self.size >= EXPORT_BYTES else self.limit - len(self.records)

    async def _run(self, name: str, *arguments: Argument) -> list[Any]:
        return (await self.connection.run(name, self.queue, *arguments)).values

    # -- the queue, its groups and its epochs ----------------------------------------------------

    async def frame(self, after: int | None) -> int | None:
        """They are numbered."""
        records = [*await self._queue_and_groups(), *(record for _, record in await self._epochs())]
        start = after or 0
        end = start + self.room
        self.records += records[start:end]
        return end if end < len(records) else None

    async def _queue_and_groups(self) -> list[Moved]:
        paused, last_key, last_claim, last_revision, *rest = await self._run("export_frame")
        groups = [
            MovedGroup(
                name.decode(), ephemeral == 1, max_stalls, registered_at, away, warned_at or None,
                _counts(ended),
            )
            for name, ephemeral, max_stalls, registered_at, away, warned_at, *ended in _rows(rest[4:], 10)
        ]  # fmt: skip
        queue = MovedQueue(paused == 1, last_key, last_claim, last_revision, _counts(rest[:4]))
        return [queue, *sorted(groups, key=lambda group: group.name)]

    async def _epochs(self) -> list[tuple[int, MovedEpoch]]:
        """By number. A worker's dead epochs have another name than the one that came after them."""
        found: list[tuple[int, MovedEpoch]] = []
        amount = 1
        while len(found) < amount:
            amount, *values = await self._run("export_epochs", len(found))
            for number, worker, is_newest, span, alive, report, joined in _rows(values, 7):
                name = worker.decode() if is_newest else f"{worker.decode()} (dead, {int(number)})"
                pairs = zip(joined[::2], joined[1::2], strict=True)
                exchanges = {group.decode(): n for group, n in sorted(pairs)}
                found.append((int(number), MovedEpoch(name, span, alive == 1, exchanges, report)))
        return sorted(found, key=lambda epoch: epoch[0])

    async def schedules(self, after: str | None) -> str | None:
        """By id."""
        room = self.room
        found = await scheduling.schedules(self.connection, self.queue, None, after or "", room)
        self.records += [MovedSchedule(schedule) for schedule in found]
        return found[-1].spec.id if len(found) == room else None

    # -- jobs ------------------------------------------------------------------------------------

    async def jobs(self, after: int | None) -> int | None:
        """By key: an index of those is made once, as the server has none."""
        if after is None or self.queue not in self.indexes:
            self.indexes[self.queue] = await self._index()
        index = self.indexes[self.queue]
        start = 0 if after is None else bisect_right(index, after)
        keys = index[start : start + self.room]
        if not keys:
            del self.indexes[self.queue]
            return None
        looked, *values = await self._run("export_jobs", EXPORT_BYTES - self.size, *keys)
        for key, record, apart, due_at in _rows(values, 4):
            job = unpack_job(int(key), record, apart, due_at)
            self.records.append(job)
            self.size += len(job.data)
        return keys[int(looked) - 1]

    async def _index(self) -> array[int]:
        found: set[int] = set()
        cursor = None
        while cursor != 0:
            cursor, keys = await self._run("export_keys", cursor or 0)
            found.update(int(key) for key in keys.split(b",") if key)
        return array("q", sorted(found))

    async def unclaimed(self, after: int | None) -> int | None:
        """In their order."""
        start, room = after or 0, self.room
        looked, *values = await self._run("export_unclaimed", start, room)
        self.records += [MovedUnclaimed(int(key), since) for key, since in _rows(values, 2)]
        return start + looked if looked == room else None

    # -- deliveries ------------------------------------------------------------------------------

    async def ready(self, after: list[Any] | None) -> list[Any] | None:
        """Group after group, and in each priority after priority."""
        number, priority, in_list, start = after or (0, "", 0, 0)
        stored = await self.connection.ask("HKEYS", self.connection.keys.part(self.queue, "groups"))
        groups = sorted(name.decode() for name in stored)
        if number == len(groups):
            return None
        name = groups[number]
        following, in_list, start, *values = await self._run(
            "export_ready", name, priority, in_list, start, self.room
        )
        for key, attempts, stalls, since, claim, front in _rows(values, 6):
            self.records.append(MovedReady(int(key), name, attempts, stalls, since, claim, front == 1))
        if following == b"":
            return [number + 1, "", 0, 0]
        return [number, following.decode(), in_list, start]

    async def retries(self, after: int | None) -> int | None:
        """By due time."""
        start, room = after or 0, self.room
        looked, *values = await self._run("export_retries", start, room)
        for key, group, attempts, stalls, due_at in _rows(values, 5):
            self.records.append(MovedRetry(int(key), group.decode(), attempts, stalls, due_at))
        return start + looked if looked == room else None

    async def claims(self, after: int | None) -> int | None:
        """By number; there are no more than workers can hold."""
        found: list[MovedClaim] = []
        for number, epoch in await self._epochs():
            for group in epoch.exchanges:
                found += await self._claims_of(number, epoch.worker, group)
            found += await self._claims_of(number, epoch.worker, "")
        # A number only once: as they are scanned, some may come twice.
        ordered = sorted({(each.claim, each.key, each.group): each for each in found}.items())
        rest = [each for _, each in ordered if each.claim > (after or 0)]
        taken = rest[: self.room]
        self.records += taken
        return taken[-1].claim if len(rest) > len(taken) else None

    async def _claims_of(self, epoch: int, worker: str, group: str) -> list[MovedClaim]:
        found: list[MovedClaim] = []
        is_lapsed, cursor = group == "", None
        while cursor != 0:
            cursor, *values = await self._run("export_claims", epoch, group, cursor or 0)
            for claim, key, name, attempts, stalls, since, exchange, cancelled in _rows(values, 8):
                found.append(
                    MovedClaim(
                        int(key), name.decode(), attempts, stalls, since, claim, worker,
                        0 if is_lapsed else exchange, cancelled == 1, is_lapsed,
                    )
                )  # fmt: skip
        return found

    async def failures(self, after: int | None) -> int | None:
        """The oldest first."""
        last, *values = await self._run("export_failed", after or 0, self.room, EXPORT_BYTES - self.size)
        for row in _rows(values, 13):
            self._take_failure(*row)
        return int(last) or None

    def _take_failure(
        self, key: int, packed_id: bytes, occurrence: int, group: bytes, priority: int, *rest: Any
    ) -> None:
        attempts, failed_at, drop, error_type, message, traceback, payload, enqueued_at = rest
        job_id = readable_id(packed_id)
        data, metadata = readable_payload(payload)
        texts = (text.decode(errors="replace") for text in (error_type, message, traceback))
        self.records.append(
            MovedFailure(
                key, job_id, job_id.rpartition(":")[0] if occurrence else None, group.decode(), data,
                metadata, priority, enqueued_at, "drop" if drop else "hold", Failure(*texts), attempts,
                failed_at,
            )
        )  # fmt: skip
        self.size += len(data)


def _counts(numbers: list[int]) -> dict[Outcome, int]:
    return dict(zip(_OUTCOMES, numbers, strict=True))


def _rows(values: list[Any], width: int) -> Iterator[tuple[Any, ...]]:
    fields = iter(values)
    return cast("Iterator[tuple[Any, ...]]", zip(*[fields] * width, strict=True))
