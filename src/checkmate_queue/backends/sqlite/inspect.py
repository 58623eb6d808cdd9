"""What people look at. Reads only, in one step each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from checkmate_queue.backends.sqlite.listing import key_pages
from checkmate_queue.backends.sqlite.marks import DELAYED, OPEN, UNCLAIMED
from checkmate_queue.backends.sqlite.session import BACKWARDS_MS
from checkmate_queue.core.model import (
    FailedRecord,
    Failure,
    GroupRecord,
    GroupStats,
    JobRecord,
    JobState,
    QueueStats,
    WorkerRecord,
)
from checkmate_queue.core.statistics import queue_stats
from checkmate_queue.core.validation import entry_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkmate_queue.backends.sqlite.transaction import Row, Transaction
    from checkmate_queue.core.model import Millis

_AT_ONCE = 500
_NEVER = 1 << 62


def queues(tx: Transaction) -> list[str]:
    """See `Inspector.queues`."""
    return [row[0] for row in tx.all("queue_names")]


def paused(tx: Transaction, queue: str) -> bool:
    """See `Inspector.paused`."""
    row = tx.one("queue_numbers", (queue,))
    return row is not None and bool(row[1])


# -- numbers -------------------------------------------------------------------------------------


def stats(tx: Transaction, queue: str) -> QueueStats:
    """See `Inspector.stats`."""
    row = tx.one("queue_numbers", (queue,))
    if row is None:
        return QueueStats()
    now = tx.clock()
    id_, _, _, delayed, unclaimed, completed, failed, expired, cancelled = row
    groups = {
        name: _group_stats(tx, group, numbers, now) for group, name, *numbers in tx.all("group_stats", (id_,))
    }
    return queue_stats(
        groups,
        delayed=delayed,
        unclaimed=unclaimed,
        completed=completed,
        failed=failed,
        expired=expired,
        cancelled=cancelled,
    )


def _group_stats(tx: Transaction, group: int, numbers: list[int], now: Millis) -> GroupStats:
    pending, retrying, processing, completed, failed, expired, cancelled = numbers
    oldest = tx.one("oldest_ready", (group,))
    age = None if oldest is None else max(0, now - oldest[0]) / 1000
    return GroupStats(pending, retrying, processing, completed, failed, expired, cancelled, age)


# -- jobs ----------------------------------------------------------------------------------------


def job(tx: Transaction, queue: str, job_id: str) -> JobRecord | None:
    """See `Inspector.job`."""
    found = tx.one("queue_numbers", (queue,))
    row = tx.one("job_record", (found[0], job_id)) if found is not None else None
    return None if row is None else _as_record(tx, row, tx.clock())


def jobs(tx: Transaction, queue: str, state: JobState | None, after: int, limit: int) -> list[JobRecord]:
    """See `Inspector.jobs`."""
    row = tx.one("queue_numbers", (queue,))
    if row is None or limit <= 0:
        return []
    now = tx.clock()
    found: list[JobRecord] = []
    for keys in key_pages(tx, row[0], state, after, limit):
        for first in range(0, len(keys), _AT_ONCE):
            rows = tx.all("job_records", (json.dumps(keys[first : first + _AT_ONCE]),))
            records = [record for row in rows if (record := _as_record(tx, row, now)) is not None]
            found += [r for r in records if state in (None, r.state) or state in r.groups.values()]
            if len(found) >= limit:
                return found[:limit]
    return found


def _as_record(tx: Transaction, row: Row, now: Millis) -> JobRecord | None:
    """A job with its state per group, the job's own being that of the group that is furthest on.

    None where it has ended and nothing has cleared it away yet.
    """
    key, id_, data, state, priority, enqueued_at, metadata, due_at, expires_at, sweep_at = row
    expired = sweep_at is not None and sweep_at <= now
    groups: dict[str, JobState] = {}
    if state == OPEN:
        places: dict[str, JobState] = {"ready": "pending", "claimed": "processing", "waiting": "retrying"}
        groups = {
            name: places[place]
            for _, name, place, _, _, started in tx.all("deliveries", (key,))
            if name is not None and (started or not expired)
        }
    if (expired or state == OPEN) and not groups:
        return None
    overall = _overall(state, groups)
    return JobRecord(key, id_, data, overall, priority, enqueued_at, metadata, due_at, expires_at, groups)


def _overall(state: int, groups: dict[str, JobState]) -> JobState:
    if state == DELAYED:
        return "delayed"
    if state == UNCLAIMED:
        return "unclaimed"
    order: tuple[JobState, ...] = ("processing", "pending", "retrying")
    return next(place for place in order if place in groups.values())


def failed(tx: Transaction, queue: str, group: str | None, after: str, limit: int) -> list[FailedRecord]:
    """See `Inspector.failed`."""
    row = tx.one("queue_numbers", (queue,))
    if row is None:
        return []
    before = entry_number(after, _NEVER)
    return [
        FailedRecord(
            entry_id=f"{number:016d}",
            job_id=job_id,
            group=name,
            data=data,
            failure=Failure(error_type, message, traceback),
            attempts=attempts,
            failed_at=failed_at,
        )
        for number, job_id, name, data, error_type, message, traceback, attempts, failed_at in tx.all(
            "failed_records", (row[0], group, before, limit)
        )
    ]


# -- groups and workers --------------------------------------------------------------------------


class _LivingEpoch(NamedTuple):
    number: int
    worker: str
    expires_at: Millis
    report: bytes


def groups(tx: Transaction, queue: str) -> list[GroupRecord]:
    """See `Inspector.groups`."""
    row = tx.one("queue_numbers", (queue,))
    if row is None:
        return []
    living = {epoch.number for epoch in _living(tx, row[0], row[2])}
    members = tx.all("members", (row[0],))
    return [
        GroupRecord(
            name=name,
            ephemeral=bool(ephemeral),
            max_stalls=max_stalls,
            workers=sum(member[1] == id_ and member[0] in living for member in members),
            registered_at=registered_at,
        )
        for id_, name, ephemeral, max_stalls, registered_at in tx.all("group_records", (row[0],))
    ]


def workers(tx: Transaction, queue: str) -> list[WorkerRecord]:
    """See `Inspector.workers`."""
    row = tx.one("queue_numbers", (queue,))
    if row is None:
        return []
    members = tx.all("members", (row[0],))
    return [
        WorkerRecord(
            worker=epoch.worker,
            epoch=epoch.number,
            groups=tuple(member[2] for member in members if member[0] == epoch.number),
            expires_at=epoch.expires_at,
            processing=sum(member[3] for member in members if member[0] == epoch.number),
            report=epoch.report,
        )
        for epoch in _living(tx, row[0], row[2])
    ]


def _living(tx: Transaction, queue: int, contact_at: Millis) -> Iterator[_LivingEpoch]:
    """Epochs whose lease has not run out, were a writer to come now: after a gap it moves leases on (G12)."""
    now = tx.clock()
    gap = now - contact_at
    for number, worker, lease_ms, expires_at, report in tx.all("epochs", (queue,)):
        moved = expires_at + (gap if gap * 2 > lease_ms or gap < -BACKWARDS_MS else 0)
        if expires_at > contact_at and moved > now:
            yield _LivingEpoch(number, worker, moved, report)
