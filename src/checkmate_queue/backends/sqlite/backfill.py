"""Filling groups that start from the earliest, in batches (G3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.marks import MOVED
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.session import Group, Session


def is_filling(session: Session) -> bool:
    """Whether a group still has to get jobs from before it was registered."""
    return any(group.backfill_from is not None for group in session.groups())


def backfill(session: Session) -> None:
    """Give such groups the next jobs that others have not finished, in the order of keys."""
    if is_filling(session):
        for group in session.groups():
            if group.backfill_from is not None:
                _fill(session, group)
        session.forget_groups()


def _fill(session: Session, group: Group) -> None:
    rows = session.all("jobs_to_backfill", (group.backfill_from, group.backfill_to, session.now, BATCH))
    keys = [row[0] for row in rows if _lives(session, row[0])]
    session.run_many("add_holder", [(key,) for key in keys])
    session.run_many("backfill_ready", [(group.id, key, MOVED, session.now) for key in keys])
    session.tallies[group.id].pending += len(keys)
    session.readied += len(keys)
    session.run("note_backfill", (group.id, rows[-1][0] if len(rows) == BATCH else None))


def _lives(session: Session, key: int) -> bool:
    """Whether a registered group has the job: all others may be gone while it is being cleared away."""
    if all(group.name is not None for group in session.group_rows):
        return True
    return any(row[1] is not None for row in session.all("deliveries", (key,)))
