"""Consumer groups: dropping and renaming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.endings import note_outcomes, release
from checkmate_queue.backends.sqlite.leases import account_attendance
from checkmate_queue.backends.sqlite.marks import CANCELLED
from checkmate_queue.backends.sqlite.promotion import promote
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.session import Group
    from checkmate_queue.backends.sqlite.transaction import Transaction


def drop(session: Session, group: Group) -> None:
    """Drop a group: its deliveries end as expired, and its lifetime counts stay with the queue.

    What is ready in it may be a million, and is cleared away in batches. It is counted as ended here and now.
    """
    session.save_tallies()
    row = session.one("group_numbers", (group.id,))
    assert row is not None
    pending, retrying, processing, completed, failed, expired, cancelled = row
    claims = session.all("drop_claims", (group.id,))
    retries = session.all("drop_waiting", (group.id,))
    gone = [row[0] for row in claims if row[1] & CANCELLED]
    ended = session.ended
    ended.completed += completed
    ended.failed += failed
    ended.expired += expired + pending + retrying + processing - len(gone)
    ended.cancelled += cancelled + len(gone)
    note_outcomes(session, session.schedules_of([row[0] for row in claims + retries]), "expired")
    release(session, [row[0] for row in claims])
    release(session, [row[0] for row in retries])
    session.run("drop_members", (group.id,))
    session.run("drop_group", (group.id,))
    session.forget_groups()
    clear(session)


def clear(session: Session) -> bool:
    """Clear away a batch of what dropped groups left; whether there is more."""
    dropped = next((group for group in session.group_rows if group.name is None), None)
    if dropped is None:
        return False
    rows = session.all("ready_to_clear", (dropped.id, BATCH))
    if rows:
        session.run("delete_first_ready", (dropped.id, *rows[-1][:2]))
        release(session, [row[2] for row in rows])
        note_outcomes(session, [row[3] for row in rows], "expired")
    if len(rows) < BATCH:
        session.run("delete_group", (dropped.id,))
        session.forget_groups()
    return any(group.name is None for group in session.group_rows)


def drop_group(tx: Transaction, queue: str, name: str) -> bool:
    """See `Repair.drop_group`."""
    session = Session.enter(tx, queue)
    group = session.group(name)
    if group is not None:
        _refuse_attended(session, group)
        account_attendance(session)
    promote(session)
    if group is not None:
        drop(session, group)
    session.save()
    return group is not None


def rename_group(tx: Transaction, queue: str, old: str, new: str) -> None:
    """See `Repair.rename_group`."""
    session = Session.enter(tx, queue)
    group = session.group(old)
    if group is None:
        raise InvalidArgumentError(f"Queue {queue!r} has no consumer group {old!r}; nothing to rename.")
    _refuse_attended(session, group)
    if session.group(new) is not None:
        raise InvalidArgumentError(
            f"Queue {queue!r} has a consumer group {new!r} already; choose a name that is free."
        )
    session.run("rename_group", (group.id, new))
    session.run("rename_failures", (session.id, old, new))
    session.save()


def _refuse_attended(session: Session, group: Group) -> None:
    if group.id in session.attended():
        raise InvalidArgumentError(
            f"Consumer group {group.name!r} of queue {session.name!r} has live consumers; stop them first."
        )
