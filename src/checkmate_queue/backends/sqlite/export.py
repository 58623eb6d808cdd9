"""Reading everything of a fenced queue, batch by batch (B2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from checkmate_queue.backends.sqlite.backfill import backfill, is_filling
from checkmate_queue.backends.sqlite.groups import clear
from checkmate_queue.backends.sqlite.marks import CANCELLED, FRONT, LAPSED, STARTED
from checkmate_queue.backends.sqlite.scheduling import as_schedule
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.backends.sqlite.statements import statement
from checkmate_queue.backends.sqlite.transaction import Unfinished
from checkmate_queue.core.model import Failure
from checkmate_queue.core.moving import (
    Export,
    Moved,
    MovedClaim,
    MovedEpoch,
    MovedFailure,
    MovedGroup,
    MovedJob,
    MovedQueue,
    MovedReady,
    MovedRetry,
    MovedSchedule,
    MovedUnclaimed,
)
from checkmate_queue.moving import EXPORT_BYTES
from checkmate_queue.store import UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkmate_queue.backends.sqlite.transaction import Row, Transaction, Values
    from checkmate_queue.core.model import Outcome

_OUTCOMES: Final[tuple[Outcome, ...]] = ("completed", "failed", "expired", "cancelled")
_FIRST: Final = -(2**62)


def complete(tx: Transaction, queue: str) -> None:
    """Do to its end what verbs do in batches, so that everything is where it belongs."""
    row = _row(tx, queue)
    session = Session(tx, queue, row)
    session.now = session.contact_at  # This is no contact.
    if is_filling(session):
        backfill(session)
    elif not any(group.name is None for group in session.group_rows):
        return
    clear(session)
    session.save()
    raise Unfinished


def export(tx: Transaction, queue: str, cursor: str, limit: int) -> Export:
    """See `Moving.export`. The cursor is the number of a section, and behind what to go on in it."""
    row = _row(tx, queue)
    section, after = json.loads(cursor) if cursor else (0, None)
    reader = _Reader(tx, row[0], limit)
    sections: list[Callable[[Any], Iterator[tuple[Any, Moved]]]] = [
        reader.frame, reader.schedules, reader.jobs, reader.unclaimed,
        reader.ready, reader.retries, reader.claims, reader.failures,
    ]  # fmt: skip
    for number, records in enumerate(sections[section:], section):
        for at, record in records(after):
            if reader.take(record):
                return Export(reader.records, json.dumps([number, at]))
        after = None
    return Export(reader.records, None)


def _row(tx: Transaction, queue: str) -> Row:
    row = tx.one("queue", (queue,))
    if row is None:
        raise UnknownQueueError(f"Queue {queue!r} was never registered with this backend.")
    return row


@dataclass(slots=True)
class _Reader:
    """Reads sections, each from behind what its last record was marked with."""

    tx: Transaction
    queue: int
    limit: int
    records: list[Moved] = field(default_factory=list)
    size: int = 0

    def take(self, record: Moved) -> bool:
        """Take a record; whether that is enough."""
        self.records.append(record)
        if isinstance(record, MovedJob | MovedFailure):
            self.size += len(record.data)
        return len(self.records) >= self.limit or self.size >= EXPORT_BYTES

    def _rows(self, name: str, values: Values) -> Iterator[Row]:
        # One by one: a thousand payloads may be a gigabyte.
        yield from self.tx.connection.execute(statement(name), values)

    def _ordinal(self, key: int) -> int:
        return key - (self.queue << 42)

    def frame(self, after: int | None) -> Iterator[tuple[int, Moved]]:
        """The queue, its groups and its epochs; they are numbered."""
        records = [*self._queue(), *self._groups(), *self._epochs()]
        start = 0 if after is None else after + 1
        yield from enumerate(records[start:], start)

    def _queue(self) -> Iterator[Moved]:
        for paused, last_key, last_claim, last_revision, *ended in self._rows("export_queue", (self.queue,)):
            yield MovedQueue(bool(paused), self._ordinal(last_key), last_claim, last_revision, _counts(ended))

    def _groups(self) -> Iterator[Moved]:
        for name, ephemeral, stalls, at, unattended, warned, *ended in self._rows(
            "export_groups", (self.queue,)
        ):
            yield MovedGroup(name, bool(ephemeral), stalls, at, unattended, warned, _counts(ended))

    def _epochs(self) -> list[MovedEpoch]:
        names = self._epoch_names()
        epochs: dict[int, MovedEpoch] = {}
        for number, _, lease_ms, alive, report, group, n in self._rows("export_epochs", (self.queue,)):
            exchanges = {} if group is None else {group: n}
            if number in epochs:
                exchanges = {**epochs[number].exchanges, **exchanges}
            epochs[number] = MovedEpoch(names[number], lease_ms, bool(alive), exchanges, report)
        return list(epochs.values())

    def _epoch_names(self) -> dict[int, str]:
        """Where a worker came back under its name, its dead epochs give that away: theirs matters no more."""
        workers: dict[int, str] = {row[0]: row[1] for row in self._rows("export_epochs", (self.queue,))}
        newest = {worker: number for number, worker in workers.items()}
        return {
            number: worker if newest[worker] == number else f"{worker} (dead, {number})"
            for number, worker in workers.items()
        }

    def schedules(self, after: str | None) -> Iterator[tuple[str, Moved]]:
        """By id."""
        for row in self._rows("schedules", (self.queue, after or "", self.limit)):
            schedule = as_schedule(row)
            yield schedule.spec.id, MovedSchedule(schedule)

    def jobs(self, after: int | None) -> Iterator[tuple[int, Moved]]:
        """By key."""
        first = self.queue << 42 if after is None else after
        for row in self._rows("export_jobs", (self.queue, first, self.limit)):
            key, id_, schedule, data, metadata, priority, at, due_at, expires_at, drop, token, format_ = row
            yield (
                key,
                MovedJob(
                    self._ordinal(key), id_, schedule, data, metadata, priority, at, due_at, expires_at,
                    "drop" if drop else "hold", token, format_,
                ),
            )  # fmt: skip

    def unclaimed(self, after: int | None) -> Iterator[tuple[int, Moved]]:
        """In their order."""
        retention = self.tx.limits.unclaimed_retention_ms
        values = (self.queue, _FIRST if after is None else after, self.limit)
        for pos, key, enqueued_at, expires_at, sweep_at in self._rows("export_unclaimed", values):
            # Of one that expires first it isn't known since when it waits, and does not matter.
            since = enqueued_at if sweep_at in (None, expires_at) else sweep_at - retention
            yield pos, MovedUnclaimed(self._ordinal(key), since)

    def ready(self, after: list[int] | None) -> Iterator[tuple[list[int], Moved]]:
        """Group after group in starting order."""
        index, *behind = after or [0, _FIRST, _FIRST]
        groups = [(row[0], row[1]) for row in self.tx.all("groups", (self.queue,)) if row[1] is not None]
        for number, (group, name) in enumerate(groups[index:], index):
            values = (group, *behind, self.limit)
            behind = [_FIRST, _FIRST]
            for rank, pos, key, mark, attempts, stalls, since in self._rows("export_ready", values):
                front = pos < 0
                claim = pos + FRONT if front else int(mark == STARTED)
                moved = MovedReady(self._ordinal(key), name, attempts, stalls, since, claim, front)
                yield [number, rank, pos], moved

    def retries(self, after: list[int] | None) -> Iterator[tuple[list[int], Moved]]:
        """By due time."""
        values = (self.queue, *(after or [_FIRST, _FIRST, _FIRST]), self.limit)
        for due_at, key, group, name, attempts, stalls in self._rows("export_waiting", values):
            if name is not None:
                yield [due_at, key, group], MovedRetry(self._ordinal(key), name, attempts, stalls, due_at)

    def claims(self, after: int | None) -> Iterator[tuple[int, Moved]]:
        """By number."""
        names = self._epoch_names()
        for row in self._rows("export_claims", (self.queue, after or 0, self.limit)):
            number, key, group, attempts, stalls, since, epoch, exchange, flags = row
            yield (
                number,
                MovedClaim(
                    self._ordinal(key), group, attempts, stalls, since, number,
                    names[epoch], exchange, bool(flags & CANCELLED), bool(flags & LAPSED),
                ),
            )  # fmt: skip

    def failures(self, after: int | None) -> Iterator[tuple[int, Moved]]:
        """The oldest first."""
        for row in self._rows("export_failures", (self.queue, after or 0, self.limit)):
            number, key, job_id, schedule, group, data, metadata, priority, at, drop, *rest = row
            kind, message, traceback, attempts, failed_at, format_ = rest
            yield (
                number,
                MovedFailure(
                    self._ordinal(key), job_id, schedule, group, data, metadata, priority, at,
                    "drop" if drop else "hold", Failure(kind, message, traceback), attempts, failed_at,
                    format_,
                ),
            )  # fmt: skip


def _counts(numbers: list[int]) -> dict[Outcome, int]:
    return dict(zip(_OUTCOMES, numbers, strict=True))
