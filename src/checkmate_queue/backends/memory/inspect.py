"""What people look at: the store's records as plain data."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from checkmate_queue.backends.memory.deliveries import is_expired
from checkmate_queue.backends.memory.leases import lives, shift
from checkmate_queue.core.model import (
    FailedRecord,
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

    from checkmate_queue.backends.memory.failed import FailedEntry
    from checkmate_queue.backends.memory.state import Group, Job, QueueState
    from checkmate_queue.core.model import Millis


def stats_of(queue: QueueState, now: Millis) -> QueueStats:
    """See `Inspector.stats`."""
    groups = {group.name: _group_stats(group, now) for group in queue.groups.values()}
    ended = queue.ended
    return queue_stats(
        groups,
        delayed=queue.delayed,
        unclaimed=len(queue.unclaimed),
        completed=ended["completed"],
        failed=ended["failed"],
        expired=ended["expired"],
        cancelled=ended["cancelled"],
    )


def _group_stats(group: Group, now: Millis) -> GroupStats:
    oldest = group.ready.oldest()
    return GroupStats(
        pending=len(group.ready),
        delayed=group.retrying,
        processing=group.processing,
        completed=group.ended["completed"],
        failed=group.ended["failed"],
        expired=group.ended["expired"],
        cancelled=group.ended["cancelled"],
        oldest_pending_seconds=None if oldest is None else max(0, now - oldest) / 1000,
    )


def find_job(queue: QueueState, job_id: str, now: Millis) -> JobRecord | None:
    """See `Inspector.job`."""
    job = queue.user_jobs.get(job_id) or queue.schedule_jobs.get(job_id)
    return None if job is None or is_expired(queue, job, now) else as_record(queue, job)


def select_jobs(
    queue: QueueState, state: JobState | None, after: int, limit: int, now: Millis
) -> list[JobRecord]:
    """See `Inspector.jobs`."""
    return list(islice(_matching(queue, state, after, now), limit))


def _matching(queue: QueueState, state: JobState | None, after: int, now: Millis) -> Iterator[JobRecord]:
    for job in queue.jobs.values():
        if job.key > after and not is_expired(queue, job, now):
            record = as_record(queue, job)
            if state is None or state == record.state or state in record.groups.values():
                yield record


def as_record(queue: QueueState, job: Job) -> JobRecord:
    """A living job with its state per group; the job's own is that of the group that is furthest on."""
    groups: dict[str, JobState] = {
        delivery.group.name: delivery.state
        for delivery in queue.deliveries_of(job)
        if delivery.state != "ended"
    }
    return JobRecord(
        key=job.key,
        id=job.id,
        data=job.data,
        state=_overall(job, groups),
        priority=job.priority,
        enqueued_at=job.enqueued_at,
        metadata=job.metadata,
        due_at=job.due_at,
        expires_at=job.expires_at,
        groups=groups,
    )


def _overall(job: Job, groups: dict[str, JobState]) -> JobState:
    if not groups:
        return "unclaimed" if job.due_at is None else "delayed"
    order: tuple[JobState, ...] = ("processing", "pending", "retrying")
    return next(state for state in order if state in groups.values())


def failed_record(entry: FailedEntry) -> FailedRecord:
    """A kept failed delivery."""
    return FailedRecord(
        entry_id=f"{entry.number:016d}",
        job_id=entry.job.id,
        group=entry.group,
        data=entry.job.data,
        failure=entry.failure,
        attempts=entry.attempts,
        failed_at=entry.failed_at,
    )


def select_failed(queue: QueueState, group: str | None, after: str, limit: int) -> list[FailedRecord]:
    """See `Inspector.failed`."""
    entries = queue.failed.newest_first(entry_number(after, None))
    return [
        failed_record(entry)
        for entry in islice((entry for entry in entries if group in (None, entry.group)), limit)
    ]


def group_records(queue: QueueState, now: Millis) -> list[GroupRecord]:
    """See `Inspector.groups`."""
    return [
        GroupRecord(
            name=group.name,
            ephemeral=group.ephemeral,
            max_stalls=group.max_stalls,
            workers=sum(lives(queue, epoch, now) for epoch in group.members),
            registered_at=group.registered_at,
        )
        for _, group in sorted(queue.groups.items())
    ]


def worker_records(queue: QueueState, now: Millis) -> list[WorkerRecord]:
    """See `Inspector.workers`."""
    return [
        WorkerRecord(
            worker=epoch.worker,
            epoch=epoch.number,
            groups=tuple(sorted(group.name for group in epoch.memberships)),
            expires_at=epoch.expires_at + shift(queue, epoch, now),
            processing=sum(len(membership.claims) for membership in epoch.memberships.values()),
            report=epoch.report,
        )
        for epoch in queue.epochs.values()
        if lives(queue, epoch, now)
    ]
