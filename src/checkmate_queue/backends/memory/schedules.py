"""Recurring jobs: storing schedules, and making their jobs (R3 to R7)."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING

from checkmate_queue.backends.memory.deliveries import end_waiting, make_ready
from checkmate_queue.backends.memory.due import put_due
from checkmate_queue.backends.memory.leases import live_groups
from checkmate_queue.backends.memory.state import Job, Recurring, Series
from checkmate_queue.core.model import Schedule, occurrence_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.memory.state import Group, QueueState
    from checkmate_queue.core.model import Firing, Millis, NewSchedule


def as_schedule(recurring: Recurring) -> Schedule:
    """A schedule as it is stored now."""
    return Schedule(
        recurring.spec,
        recurring.revision,
        recurring.anchor,
        recurring.next_at,
        recurring.last_run_at,
        recurring.last_outcome,
    )


def put_schedule(queue: QueueState, spec: NewSchedule) -> Schedule:
    """See `Scheduling.put_schedule`."""
    old = queue.schedules.get(spec.id)
    if old is not None and old.spec.definition == spec.definition:
        return as_schedule(old)
    queue.last_revision += 1
    new = Recurring(spec, queue.last_revision, spec.first_at, spec.first_at)
    if old is not None:
        _end_waiting_jobs(queue, spec.id)
        queue.recurring.remove(old)
        new.last_run_at, new.last_outcome = old.last_run_at, old.last_outcome
        if old.spec.timing == spec.timing:
            new.anchor, new.next_at = old.anchor, old.next_at
    queue.schedules[spec.id] = new
    if new.next_at is not None:
        put_due(queue, new.next_at, new)
    return as_schedule(new)


def drop_schedule(queue: QueueState, schedule_id: str) -> bool:
    """See `Scheduling.drop_schedule`."""
    recurring = queue.schedules.pop(schedule_id, None)
    if recurring is None:
        return False
    queue.recurring.remove(recurring)
    _end_waiting_jobs(queue, schedule_id)
    return True


def select_schedules(queue: QueueState, ids: Sequence[str] | None, after: str, limit: int) -> list[Schedule]:
    """See `Scheduling.schedules`."""
    if ids is None:
        ids = nsmallest(limit, (id_ for id_ in queue.schedules if id_ > after))
    return [as_schedule(queue.schedules[id_]) for id_ in sorted(set(ids)) if id_ in queue.schedules]


def fire(queue: QueueState, firing: Firing, now: Millis) -> bool:
    """Apply one firing of `Scheduling.fire`."""
    recurring = queue.schedules.get(firing.schedule_id)
    if recurring is None or recurring.revision != firing.revision or recurring.next_at != firing.expected_at:
        return False
    recurring.next_at = firing.next_at
    if firing.next_at is None:
        queue.recurring.remove(recurring)
    else:
        put_due(queue, firing.next_at, recurring)
    for due in firing.due:
        if _make_job(queue, recurring, due, now):
            recurring.last_run_at = due
    return True


def series_of(queue: QueueState, schedule_id: str) -> Series:
    """The living jobs of a schedule; for one that has none, still unknown to the queue."""
    return queue.series.get(schedule_id) or Series(schedule_id)


def add_to_series(queue: QueueState, job: Job, series: Series) -> None:
    """Store a schedule's job."""
    job.series = series
    queue.jobs[job.key] = queue.schedule_jobs[job.id] = job
    queue.series[series.schedule_id] = series
    series.jobs[job.key] = job


def _make_job(queue: QueueState, recurring: Recurring, due: Millis, now: Millis) -> bool:
    spec = recurring.spec
    series = series_of(queue, spec.id)
    job_id = occurrence_id(spec.id, due)
    live = live_groups(queue, now)
    groups = _free_groups(spec, series, live)
    held_back = not groups if live else _is_one_at_a_time(spec) and series.unclaimed > 0
    if held_back or job_id in queue.schedule_jobs:
        return False
    queue.last_key += 1
    job = Job(queue.last_key, job_id, spec.data, spec.priority, b"", now, unclaimed=spec.unclaimed)
    add_to_series(queue, job, series)
    make_ready(queue, job, groups, now)
    return True


def _is_one_at_a_time(spec: NewSchedule) -> bool:
    return spec.misfire != "all" or not spec.overlap


def _free_groups(spec: NewSchedule, series: Series, live: list[Group]) -> list[Group]:
    if not _is_one_at_a_time(spec):
        return live
    busy = series.waiting if spec.overlap else series.existing
    return [group for group in live if not busy[group]]


def _end_waiting_jobs(queue: QueueState, schedule_id: str) -> None:
    series = queue.series.get(schedule_id)
    if series is not None:
        for job in list(series.jobs.values()):
            end_waiting(queue, job, "cancelled")
