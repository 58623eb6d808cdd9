"""Storing what moves here, closed to all until it is admitted (B2, B3, B6)."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, assert_never

from checkmate_queue.backends.postgres.arguments import encoded
from checkmate_queue.backends.postgres.calls import Calls
from checkmate_queue.backends.postgres.export import FRONT, OUTCOMES
from checkmate_queue.backends.postgres.statements import call
from checkmate_queue.core.moving import (
    HeldClaim,
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
from checkmate_queue.moving import MoveLostError
from checkmate_queue.store import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkmate_queue.backends.postgres.connection import Row
    from checkmate_queue.backends.postgres.server import PoolConnection
    from checkmate_queue.core.model import Epoch, Outcome

_GAP: Final = 100_000
"""Keys come from one sequence of the schema: gaps of this size among those that move here are left out."""

_READY, _CLAIMED, _UNCLAIMED, _RETRYING, _DELAYED = range(5)

_JOB = (
    *("key", "enqueued_at", "expires_at", "queue_id", "priority", "format"),
    *("drop_unclaimed", "id", "data", "metadata", "token", "schedule"),
)
_FAILED = (
    *("key", "failed_at", "enqueued_at", "queue_id", "priority", "attempts", "format", "drop_unclaimed"),
    *("group_name", "id", "schedule", "data", "metadata", "error_type", "message", "traceback"),
)
_SCHEDULE = (
    *("queue_id", "id", "revision", "anchor", "next_at", "last_run_at", "data", "definition", "timing"),
    *("interval_seconds", "cron_pattern", "timezone", "priority", "misfire", "overlap"),
    *("drop_unclaimed", "first_at"),
)


class Restoring(Calls):
    """The verbs of `Moving` that write."""

    async def is_vacant(self) -> bool:
        """See `Moving.is_vacant`."""
        return bool((await self._call("is_vacant"))[0])

    async def receive(self, token: str, successor: str) -> bool:
        """See `Moving.receive`."""
        if not (await self._call("receive", token, successor))[0]:
            return False
        await self._call("empty", successor, token)
        return True

    async def restore(self, token: str, queue: str, n: int, records: Sequence[Moved]) -> None:
        """See `Moving.restore`."""
        await self._connections.transaction(partial(self._restore, token, queue, n, records))

    async def _restore(
        self, token: str, queue: str, n: int, records: Sequence[Moved], transaction: PoolConnection
    ) -> None:
        writer = _Writer(transaction, self._schema, self._connections.timeout)
        begun = await writer.call("begin_restore", token, queue, n)
        match begun["o_status"]:
            case "lost":
                raise MoveLostError
            case "done":
                return
            case "wrong":
                raise ValueError(f"batch {n} is neither {begun['o_batches']} again nor the next")
        runs = [_Run(*run) for run in json.loads(begun["o_runs"] or "[]")]
        restorer = _Restorer(writer, begun["o_queue"], self._slot, _Keys(begun["o_number"], runs))
        await restorer.restore(records)
        keys = restorer.keys
        noted = json.dumps([[run.first, run.last, run.shift] for run in keys.runs])
        await writer.call("end_restore", n, begun["o_queue"], keys.number, noted)

    async def admit(self, token: str) -> None:
        """See `Moving.admit`."""
        if not (await self._call("admit", token, self._now()))[0]:
            raise MoveLostError

    async def reopen(self, successor: str) -> None:
        """See `Moving.reopen`."""
        await self._call("reopen", successor)

    async def clear(self, successor: str) -> None:
        """See `Moving.clear`."""
        if (await self._call("clear", successor))[0]:
            await self._call("empty", successor, None)

    async def held(self, epoch: Epoch) -> list[HeldClaim]:
        """See `Moving.held`."""
        row = await self._call("held", epoch.queue, self._now(), epoch.number)
        if row["o_status"] == "lost":
            raise LeaseLostError
        columns = [row[name] or () for name in ("o_groups", "o_keys", "o_ids", "o_exchanges", "o_cancelled")]
        return [HeldClaim(*values) for values in zip(*columns, strict=True)]


@dataclass(slots=True)
class _Run:
    """Keys from `first` to `last` lie this much lower here."""

    first: int
    last: int
    shift: int


@dataclass(slots=True)
class _Keys:
    """Draws numbers, and knows which keys jobs have here: no other queue has them, and gaps are small."""

    number: int
    runs: list[_Run]

    def draw(self) -> int:
        """The next number."""
        self.number += 1
        return self.number

    def add(self, key: int) -> int:
        """The key of a job that is stored; called in their order."""
        run = self.runs[-1] if self.runs else None
        if run is None or key - run.last > _GAP or self.number != run.last - run.shift:
            run = _Run(key, key, key - self.number - 1)
            self.runs.append(run)
        run.last, self.number = key, key - run.shift
        return self.number

    def find(self, key: int) -> int | None:
        """The key of a job that was stored, if it was."""
        place = bisect_right(self.runs, key, key=lambda run: run.first) - 1
        if place < 0 or key > self.runs[place].last:
            return None
        return key - self.runs[place].shift

    def of(self, key: int) -> int:
        """The key of a job that was stored."""
        found = self.find(key)
        assert found is not None
        return found


@dataclass(slots=True)
class _Writer:
    """Statements of one transaction."""

    transaction: PoolConnection
    schema: str
    timeout: float

    async def call(self, function: str, *arguments: Any) -> Row:
        """The only row of a function's answer."""
        query = call(function, len(arguments), self.schema)
        row = await self.transaction.fetchrow(query, *arguments, timeout=self.timeout)
        assert row is not None
        return row

    async def rows(self, function: str, *arguments: Any) -> list[Row]:
        """The rows of a function's answer."""
        query = call(function, len(arguments), self.schema)
        return await self.transaction.fetch(query, *arguments, timeout=self.timeout)

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows to a table."""
        await self.transaction.copy_records_to_table(
            table, schema_name=self.schema, columns=columns, records=rows, timeout=self.timeout
        )


@dataclass(slots=True)
class _Deliveries:
    """Rows of deliveries as parallel arrays; see `restore_deliveries.sql`."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(
        self,
        key: int,
        group: int,
        state: int,
        place: int,
        at: int,
        *,
        epoch: int | None = None,
        exchange: int | None = None,
        attempts: int = 0,
        stalls: int = 0,
        started: bool = False,
        lapsed: bool = False,
        cancelled: bool = False,
    ) -> None:
        """Append one."""
        self.rows.append(
            (key, group, state, place, at, epoch, exchange, attempts, stalls, started, lapsed, cancelled)
        )

    def columns(self) -> list[list[Any]]:
        """The arrays."""
        return [list(column) for column in zip(*self.rows, strict=True)]


@dataclass(slots=True)
class _Restorer:
    """Stores records of one queue."""

    writer: _Writer
    queue: int
    slot: int
    keys: _Keys
    groups: Mapping[str, int] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    deliveries: _Deliveries = field(default_factory=_Deliveries)

    async def restore(self, records: Sequence[Moved]) -> None:
        """Store records in their order."""
        for kind, run in groupby(records, type):
            same = list(run)
            if kind is MovedSchedule:
                await self._schedules([record for record in same if isinstance(record, MovedSchedule)])
            elif kind is MovedJob:
                await self._jobs([record for record in same if isinstance(record, MovedJob)])
            elif kind is MovedFailure:
                await self._failures([record for record in same if isinstance(record, MovedFailure)])
            else:
                await self._others(same)

    async def _others(self, records: Sequence[Moved]) -> None:
        if isinstance(records[0], MovedReady | MovedRetry | MovedClaim):
            self.groups = {
                row["name"]: row["id"] for row in await self.writer.rows("export_groups", self.queue)
            }
        if isinstance(records[0], MovedClaim):
            self.epochs = {
                row["worker"]: row["number"] for row in await self.writer.rows("export_epochs", self.queue)
            }
        for record in records:
            match record:
                case MovedQueue() | MovedGroup() | MovedEpoch():
                    await self._head(record)
                case MovedUnclaimed() | MovedReady() | MovedRetry() | MovedClaim():
                    self._delivery(record)
                case MovedSchedule() | MovedJob() | MovedFailure():
                    raise AssertionError(record)
                case _:
                    assert_never(record)
        await self._store_deliveries()

    async def _head(self, record: MovedQueue | MovedGroup | MovedEpoch) -> None:
        match record:
            case MovedQueue():
                self.keys.number = max(self.keys.number, record.last_claim, record.last_revision)
                counts = _counts(record.ended)
                await self.writer.call("restore_queue", self.queue, self.slot, record.paused, *counts)
            case MovedGroup():
                await self.writer.call(
                    "restore_group",
                    *(self.queue, self.slot, record.name, record.ephemeral, record.max_stalls),
                    *(record.registered_at, record.unattended_ms, record.warned_at),
                    *_counts(record.ended),
                )
            case MovedEpoch():
                await self.writer.call(
                    "restore_epoch",
                    *(self.queue, record.worker, record.lease_ms, record.alive, record.report),
                    *(list(record.exchanges), list(record.exchanges.values())),
                )
            case _:
                assert_never(record)

    def _delivery(self, record: MovedUnclaimed | MovedReady | MovedRetry | MovedClaim) -> None:
        key, add = self.keys.of(record.key), self.deliveries.add
        match record:
            case MovedUnclaimed():
                add(key, 0, _UNCLAIMED, self.keys.draw(), record.since)
            case MovedReady():
                place = record.claim - FRONT if record.front else self.keys.draw()
                add(
                    *(key, self.groups[record.group], _READY, place, record.since),
                    attempts=record.attempts, stalls=record.stalls, started=record.claim > 0,
                )  # fmt: skip
            case MovedRetry():
                add(
                    *(key, self.groups[record.group], _RETRYING, self.keys.draw(), record.due_at),
                    attempts=record.attempts, stalls=record.stalls, started=True,
                )  # fmt: skip
            case MovedClaim():
                add(
                    *(key, self.groups[record.group], _CLAIMED, record.claim, record.since),
                    epoch=self.epochs[record.worker],
                    exchange=None if record.lapsed else record.exchange,
                    attempts=record.attempts, stalls=record.stalls, started=True,
                    lapsed=record.lapsed, cancelled=record.cancelled,
                )  # fmt: skip
            case _:
                assert_never(record)

    async def _store_deliveries(self) -> None:
        if self.deliveries.rows:
            await self.writer.call("restore_deliveries", self.queue, self.slot, *self.deliveries.columns())
            self.deliveries.rows.clear()

    async def _schedules(self, records: Sequence[MovedSchedule]) -> None:
        rows = []
        for record in records:
            stored = record.schedule
            spec = stored.spec
            rows.append(
                (
                    self.queue, spec.id, stored.revision, stored.anchor, stored.next_at, stored.last_run_at,
                    spec.data, spec.definition, spec.timing, spec.interval_seconds, spec.cron_pattern,
                    spec.timezone, spec.priority, spec.misfire, spec.overlap, spec.unclaimed == "drop",
                    spec.first_at,
                )
            )  # fmt: skip
        await self.writer.copy("schedule", _SCHEDULE, rows)
        outcomes = [(self.queue, each.schedule.spec.id, each.schedule.last_outcome) for each in records]
        await self.writer.copy("outcome", ("queue_id", "schedule", "last"), outcomes)

    async def _jobs(self, records: Sequence[MovedJob]) -> None:
        rows = []
        for job in records:
            key = self.keys.add(job.key)
            rows.append(
                (
                    key, job.enqueued_at, job.expires_at, self.queue, job.priority, job.record_format,
                    job.unclaimed == "drop", job.id, job.data, job.metadata, job.token, job.schedule_id,
                )
            )  # fmt: skip
            if job.due_at is not None:
                self.deliveries.add(key, 0, _DELAYED, key, job.due_at)
        await self.writer.copy("job", _JOB, rows)
        await self._store_deliveries()

    async def _failures(self, records: Sequence[MovedFailure]) -> None:
        rows = []
        for entry in records:
            key, failure = self.keys.find(entry.key), entry.failure
            rows.append(
                (
                    # One whose job has ended must be no other job's, now or later.
                    -entry.key if key is None else key,
                    entry.failed_at, entry.enqueued_at, self.queue, entry.priority, entry.attempts,
                    entry.record_format, entry.unclaimed == "drop", entry.group, entry.job_id,
                    entry.schedule_id, entry.data, entry.metadata, encoded(failure.error_type),
                    encoded(failure.message), encoded(failure.traceback),
                )
            )  # fmt: skip
        await self.writer.copy("failed", _FAILED, rows)
        await self.writer.call("count_failed", self.queue, self.slot, len(rows))


def _counts(ended: Mapping[Outcome, int]) -> tuple[list[str], list[int]]:
    return list(OUTCOMES), [ended.get(outcome, 0) for outcome in OUTCOMES]
