"""Recurring jobs: storing schedules, and making their jobs (R3 to R7)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.endings import Job, deliveries_of, end_waiting, is_over, sweep
from checkmate_queue.backends.sqlite.marks import OPEN, UNCLAIMED
from checkmate_queue.backends.sqlite.promotion import hand_over, make_ready
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.core.model import RECORD_FORMAT, NewSchedule, Schedule, occurrence_id
from checkmate_queue.store import BATCH, UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from checkmate_queue.backends.sqlite.session import Group
    from checkmate_queue.backends.sqlite.transaction import Row, Transaction
    from checkmate_queue.core.model import Firing, Millis, Outcome


def as_schedule(row: Row) -> Schedule:
    """A stored schedule."""
    (
        id_, data, definition, timing, first_at, interval_seconds, cron_pattern, timezone, priority, misfire,
        overlap, unclaimed, revision, anchor, next_at, last_run_at, last_outcome,
    ) = row  # fmt: skip
    spec = NewSchedule(
        id_, data, definition, timing, first_at, interval_seconds, cron_pattern, timezone,
        priority, misfire, bool(overlap), unclaimed,
    )  # fmt: skip
    return Schedule(spec, revision, anchor, next_at, last_run_at, last_outcome)


def put_schedule(tx: Transaction, queue: str, spec: NewSchedule) -> Schedule:
    """See `Scheduling.put_schedule`."""
    session = Session.enter(tx, queue)
    hand_over(session)
    old = _find(session, spec.id)
    if old is None or old.spec.definition != spec.definition:
        _replace(session, old, spec)
    session.save()
    stored = _find(session, spec.id)
    assert stored is not None
    return stored


def _find(session: Session, schedule_id: str) -> Schedule | None:
    row = session.one("schedule", (session.id, schedule_id))
    return None if row is None else as_schedule(row)


def _replace(session: Session, old: Schedule | None, spec: NewSchedule) -> None:
    due_before = session.next_due()
    if old is not None and _end_waiting_jobs(session, spec.id):
        old = _find(session, spec.id)
    anchor, next_at, last_run_at, last_outcome = _kept(old, spec)
    session.last_revision += 1
    session.run(
        "put_schedule",
        (
            session.id, spec.id, spec.data, spec.definition, spec.timing, spec.first_at,
            spec.interval_seconds, spec.cron_pattern, spec.timezone, spec.priority, spec.misfire,
            spec.overlap, spec.unclaimed, session.last_revision, anchor, next_at, last_run_at, last_outcome,
        ),
    )  # fmt: skip
    if next_at is not None and (due_before is None or next_at < due_before):
        session.wake()


def _kept(
    old: Schedule | None, spec: NewSchedule
) -> tuple[Millis, Millis | None, Millis | None, Outcome | None]:
    """Anchor, next due time, last run and last outcome of a replacement (R4)."""
    if old is None:
        return spec.first_at, spec.first_at, None, None
    if old.spec.timing == spec.timing:
        return old.anchor, old.next_at, old.last_run_at, old.last_outcome
    return spec.first_at, spec.first_at, old.last_run_at, old.last_outcome


def drop_schedule(tx: Transaction, queue: str, schedule_id: str) -> bool:
    """See `Scheduling.drop_schedule`."""
    session = Session.enter(tx, queue)
    hand_over(session)
    known = session.run("drop_schedule", (session.id, schedule_id)) > 0
    if known:
        _end_waiting_jobs(session, schedule_id)
    session.save()
    return known


def _end_waiting_jobs(session: Session, schedule_id: str) -> bool:
    jobs = [Job(*row) for row in session.all("jobs_of_schedule", (session.id, schedule_id))]
    for job in jobs:
        if not is_over(session, job):
            end_waiting(session, job, "cancelled")
    return bool(jobs)


def select_schedules(
    tx: Transaction, queue: str, ids: Sequence[str] | None, after: str, limit: int
) -> list[Schedule]:
    """See `Scheduling.schedules`."""
    row = tx.one("queue", (queue,))
    if row is None:
        raise UnknownQueueError(f"Queue {queue!r} was never registered with this backend.")
    if ids is None:
        rows = tx.all("schedules", (row[0], after, limit))
    else:
        rows = tx.all("schedules_by_id", (row[0], json.dumps(list(ids), ensure_ascii=False)))
    return [as_schedule(row) for row in rows]


# -- firing --------------------------------------------------------------------------------------


def weight(firing: Firing) -> int:
    """How many records a firing touches: its jobs, or its schedule alone."""
    return max(1, len(firing.due))


def parts(firings: Sequence[Firing]) -> Iterator[list[Firing]]:
    """Split firings into transactions, lest one with many jobs keep others waiting; each firing stays whole.

    What a part did stands by itself: to repeat it has no effect.
    """
    part: list[Firing] = []
    total = 0
    for firing in firings:
        if part and total + weight(firing) > BATCH:
            yield part
            part, total = [], 0
        part.append(firing)
        total += weight(firing)
    yield part


def fire(tx: Transaction, queue: str, firings: Sequence[Firing]) -> list[bool]:
    """See `Scheduling.fire`."""
    session = Session.enter(tx, queue)
    hand_over(session)
    sweep(session)
    live = session.live_groups()
    answers = [_fire(session, firing, live) for firing in firings]
    session.save()
    return answers


def _fire(session: Session, firing: Firing, live: Sequence[Group]) -> bool:
    moved = session.run(
        "advance_schedule",
        (session.id, firing.schedule_id, firing.revision, firing.expected_at, firing.next_at),
    )
    if not moved:
        return False
    if firing.due:
        schedule = _find(session, firing.schedule_id)
        assert schedule is not None
        made = [due for due in firing.due if _make_job(session, schedule.spec, due, live)]
        if made:
            session.run("note_run", (session.id, firing.schedule_id, made[-1]))
    return True


def _make_job(session: Session, spec: NewSchedule, due: Millis, live: Sequence[Group]) -> bool:
    groups = live
    if spec.misfire != "all" or not spec.overlap:
        busy, unclaimed = _busy_groups(session, spec)
        groups = [group for group in live if group.id not in busy]
        if not groups and (live or unclaimed):
            return False
    key = session.draw()
    drop = spec.unclaimed == "drop"
    stored = session.run(
        "insert_occurrence",
        (
            key, session.id, spec.priority, session.now, drop, RECORD_FORMAT,
            occurrence_id(spec.id, due), spec.id, b"", spec.data,
        ),
    )  # fmt: skip
    if stored:
        job = Job(key, OPEN, spec.priority, None, spec.id, drop, "", None)
        make_ready(session, [(key, job)], groups)
    return stored > 0


def _busy_groups(session: Session, spec: NewSchedule) -> tuple[set[int], bool]:
    """The groups that an earlier delivery keeps from getting the next one; whether a job is unclaimed."""
    busy: set[int] = set()
    unclaimed = False
    for row in session.all("jobs_of_schedule", (session.id, spec.id)):
        job = Job(*row)
        unclaimed |= job.state == UNCLAIMED
        busy |= {
            delivery.grp
            for delivery in deliveries_of(session, job.key)
            if not (delivery.started and spec.overlap)
        }
    return busy, unclaimed
