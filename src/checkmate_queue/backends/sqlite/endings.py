"""How deliveries and jobs end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from checkmate_queue.backends.sqlite.marks import DELAYED, OPEN, UNCLAIMED
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkmate_queue.backends.sqlite.session import Group, Session
    from checkmate_queue.core.model import Millis, Outcome


class Job(NamedTuple):
    """What decides how a job goes on."""

    key: int
    state: int
    priority: int
    expires_at: Millis | None
    schedule: str | None
    drop_unclaimed: int
    token: str
    sweep_at: Millis | None


class Delivery(NamedTuple):
    """A delivery of a job, wherever it is: `place` is its table."""

    grp: int
    group_name: str | None
    place: str
    rank: int
    pos: int
    started: int


def find_job(session: Session, job_id: str) -> Job | None:
    """The living job of an id, a schedule's where no user's has it."""
    row = session.one("find_job", (session.id, job_id))
    return None if row is None else Job(*row)


def deliveries_of(session: Session, key: int) -> list[Delivery]:
    """All deliveries of a job; those of dropped groups have no group name."""
    return [Delivery(*row) for row in session.all("deliveries", (key,))]


def release(session: Session, keys: Sequence[int]) -> None:
    """Take one open delivery off each of these jobs; with its last one a job ends."""
    if not keys:
        return
    if len(session.group_rows) == 1:
        session.run_many("delete_job", [(key,) for key in keys])
        return
    session.run_many("release_job", [(key, 1) for key in keys])
    session.run_many("delete_ended_job", [(key,) for key in keys])


def note_outcomes(session: Session, schedules: Iterable[str | None], outcome: Outcome) -> None:
    """Keep how the last delivery of these schedules ended."""
    for schedule in {schedule for schedule in schedules if schedule is not None}:
        session.run("note_outcome", (session.id, schedule, outcome))


def leave_state(session: Session, job: Job) -> None:
    """Count a job no longer where it was counted itself, and not by its deliveries."""
    if job.state == DELAYED:
        session.delayed -= 1
    elif job.state == UNCLAIMED:
        session.unclaimed -= 1


def end_job(session: Session, job: Job, outcome: Outcome) -> None:
    """End a job that is in no group: it counts once."""
    leave_state(session, job)
    end_groupless(session, job, outcome)


def end_groupless(session: Session, job: Job, outcome: Outcome) -> None:
    """End a job that went to no group, and is not counted as delayed or unclaimed."""
    session.ended.end(outcome)
    session.run("delete_job", (job.key,))
    note_outcomes(session, (job.schedule,), outcome)


def end_deliveries(session: Session, job: Job, deliveries: Iterable[Delivery], outcome: Outcome) -> int:
    """End these deliveries of a job; returns how many they were."""
    count = 0
    for delivery in deliveries:
        tally = session.tallies[delivery.grp]
        match delivery.place:
            case "ready":
                session.run("delete_ready", (delivery.grp, delivery.rank, delivery.pos))
                tally.pending -= 1
            case "waiting":
                session.run("delete_waiting", (delivery.grp, job.key))
                tally.retrying -= 1
            case _:
                session.run("delete_claimed", (delivery.grp, job.key))
                tally.processing -= 1
        tally.end(outcome)
        count += 1
    if count:
        session.run("release_job", (job.key, count))
        session.run("delete_ended_job", (job.key,))
        note_outcomes(session, (job.schedule,), outcome)
    return count


def end_waiting(session: Session, job: Job, outcome: Outcome) -> None:
    """End what was never claimed of a job."""
    if job.state != OPEN:
        end_job(session, job, outcome)
        return
    fresh = [delivery for delivery in deliveries_of(session, job.key) if not delivery.started]
    end_deliveries(session, job, [delivery for delivery in fresh if delivery.group_name is not None], outcome)


def clear_dropped(session: Session, job: Job) -> None:
    """Clear away what dropped groups still hold of a job; they were counted when they were dropped."""
    dropped = [row for row in deliveries_of(session, job.key) if row.group_name is None]
    for delivery in dropped:
        session.run("delete_ready", (delivery.grp, delivery.rank, delivery.pos))
    if dropped:
        session.run("release_job", (job.key, len(dropped)))
        session.run("delete_ended_job", (job.key,))


def is_over(session: Session, job: Job) -> bool:
    """Whether a job has ended though its record is still there (J9, G4); if so, it no longer is."""
    if job.sweep_at is not None and job.sweep_at <= session.now:
        _expire(session, job)
    if any(group.name is None for group in session.group_rows):
        clear_dropped(session, job)
    return session.one("job_exists", (job.key,)) is None


def sweep(session: Session) -> int:
    """End a batch of what was not claimed in time (J9, G2); returns of how many jobs."""
    first = session.heads.expiry
    if first is None or first > session.now:
        return 0
    rows = session.all("sweepable", (session.id, session.now, BATCH))
    for row in rows:
        _expire(session, Job(*row))
    session.forget_heads()
    return len(rows)


def _expire(session: Session, job: Job) -> None:
    if job.state == DELAYED:
        _expire_delayed(session, job, session.live_groups())
        return
    end_waiting(session, job, "expired")
    if job.state == OPEN:
        session.run("end_sweep", (job.key,))


def _expire_delayed(session: Session, job: Job, groups: Sequence[Group]) -> None:
    if not groups:
        end_job(session, job, "expired")
        return
    session.delayed -= 1
    session.run("delete_job", (job.key,))
    for group in groups:
        session.tallies[group.id].end("expired")
