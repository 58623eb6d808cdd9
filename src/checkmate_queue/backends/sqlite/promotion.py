"""Becoming ready: fanning jobs out, and what is due (J5, G1, G2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from checkmate_queue.backends.sqlite.backfill import backfill, is_filling
from checkmate_queue.backends.sqlite.endings import Job, end_groupless, leave_state, sweep
from checkmate_queue.backends.sqlite.marks import FRESH, STARTED
from checkmate_queue.backends.sqlite.transaction import Unfinished
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.sqlite.session import Group, Session
    from checkmate_queue.backends.sqlite.transaction import Row

MOST: Final = 5 * BATCH
"""How many records one transaction promotes and expires at most, lest others wait for it too long."""


def promote(session: Session) -> None:
    """Make everything ready that is due, then end everything that has expired.

    Raises `Unfinished` where that is too much for one transaction; so it comes before what can't be repeated.
    """
    hand_over(session)
    handled = 0
    while _is_due(session):
        rows = session.all("due", (session.id, session.now, BATCH))
        places = [(session.draw(), row) for row in rows]
        jobs = [(pos, Job(*row[4:])) for pos, row in places if row[0] is None]
        make_ready(session, jobs, session.live_groups() if jobs else ())
        _promote_retries(session, [(pos, row) for pos, row in places if row[0] is not None])
        session.forget_heads()
        handled += len(rows)
        _pause(session, handled)
    expire(session, handled)


def hand_over(session: Session) -> None:
    """Go on giving the first durable groups what was unclaimed when they joined (G2), a batch a transaction.

    Raises `Unfinished` while there is more, so whoever calls this sees the end of it. That unclaimed jobs and
    a durable group exist together is what tells that it is under way: nothing becomes unclaimed beside a
    durable group, and no other group comes or goes before the end. Meanwhile others may add: each job keeps
    the place that it drew when it became unclaimed, which is before all that is drawn later.
    """
    if not session.unclaimed:
        return
    groups = [group for group in session.groups() if not group.ephemeral]
    if not groups:
        return
    if is_filling(session):  # it tells old jobs from these by their places, and by that they aren't open yet
        backfill(session)
        _leave_unfinished(session)
    rows = session.all("unclaimed", (session.id, BATCH))
    make_ready(session, [(row[0], Job(*row[1:])) for row in rows], groups)
    if len(rows) == BATCH:
        _leave_unfinished(session)


def hand_over_at_once(session: Session, groups: Sequence[Group]) -> None:
    """Give groups what is unclaimed, after all that is ready in them."""
    rows = session.all("unclaimed", (session.id, -1))
    make_ready(session, [(session.draw(), Job(*row[1:])) for row in rows], groups)


def _is_due(session: Session) -> bool:
    heads = session.heads
    return any(at is not None and at <= session.now for at in (heads.job, heads.retry))


def expire(session: Session, handled: int = 0) -> None:
    """End everything that has expired. Raises `Unfinished` like `promote`."""
    while count := sweep(session):
        handled += count
        _pause(session, handled)


def _pause(session: Session, handled: int) -> None:
    if handled >= MOST:
        _leave_unfinished(session)


def _leave_unfinished(session: Session) -> NoReturn:
    session.save()
    raise Unfinished


def _promote_retries(session: Session, places: Sequence[tuple[int, Row]]) -> None:
    session.run_many("delete_waiting", [(row[0], row[4]) for _, row in places])
    session.run_many(
        "insert_ready",
        [
            (grp, rank, pos, key, STARTED, attempts, stalls, session.now)
            for pos, (grp, rank, attempts, stalls, key, *_) in places
        ],
    )
    for _, row in places:
        tally = session.tallies[row[0]]
        tally.retrying -= 1
        tally.pending += 1
    session.readied += len(places)


def make_ready(session: Session, jobs: Sequence[tuple[int, Job]], groups: Sequence[Group]) -> None:
    """Fan stored jobs out to these groups, at these places; without any group they wait, or end (G1, G2)."""
    for _, job in jobs:
        leave_state(session, job)
    if not groups:
        _make_unclaimed(session, jobs)
        return
    holders = len(groups) + 1
    session.run_many("hand_out", [(job.key, holders, pos) for pos, job in jobs])
    for group in groups:
        session.run_many(
            "insert_ready",
            [(group.id, -job.priority, pos, job.key, FRESH, 0, 0, session.now) for pos, job in jobs],
        )
        session.tallies[group.id].pending += len(jobs)
    session.readied += len(jobs) * len(groups)


def _make_unclaimed(session: Session, jobs: Sequence[tuple[int, Job]]) -> None:
    until = session.now + session.tx.limits.unclaimed_retention_ms
    for pos, job in jobs:
        if job.drop_unclaimed:
            end_groupless(session, job, "expired")
        else:
            session.run("keep_unclaimed", (job.key, pos, until))
            session.unclaimed += 1
