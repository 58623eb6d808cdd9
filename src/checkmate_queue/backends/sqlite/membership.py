"""Joining and leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.backfill import backfill
from checkmate_queue.backends.sqlite.groups import drop
from checkmate_queue.backends.sqlite.leases import account_attendance
from checkmate_queue.backends.sqlite.promotion import hand_over, hand_over_at_once, promote
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.backends.sqlite.settlement import Held, Settling
from checkmate_queue.core.model import Epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.sqlite.session import Group
    from checkmate_queue.backends.sqlite.transaction import Transaction
    from checkmate_queue.core.model import GroupJoin


def join(tx: Transaction, queue: str, worker: str, joins: Sequence[GroupJoin], lease_ms: int) -> Epoch:
    """See `Consumption.join`."""
    session = Session.enter(tx, queue)
    # First of all, since handing over many unclaimed jobs calls this again and again.
    living = session.one("rejoin", (session.id, worker, session.now, lease_ms))
    promote(session)
    account_attendance(session)
    row = living or session.one("insert_epoch", (session.id, worker, lease_ms, session.now + lease_ms))
    assert row is not None
    number: int = row[0]
    waiting = {group.name for group in session.groups() if group.pending + session.tallies[group.id].pending}
    for wanted in joins:
        _register(session, wanted)
    session.forget_groups()
    names = {wanted.name for wanted in joins}
    groups = [group for group in session.groups() if group.name in names]
    session.run_many("insert_member", [(number, group.id) for group in groups])
    session.run_many("note_attended", [(group.id,) for group in groups])
    durable = [group for group in groups if not group.ephemeral]
    if durable and session.unclaimed and any(group.name in waiting for group in durable):
        # It was ephemeral: what became unclaimed beside it comes after what is ready in it, and so in one go.
        hand_over_at_once(session, durable)
    hand_over(session)
    backfill(session)
    session.save()
    return Epoch(queue, number)


def _register(session: Session, wanted: GroupJoin) -> None:
    known = session.run("update_group", (session.id, wanted.name, wanted.ephemeral, wanted.max_stalls))
    if not known:
        since = session.id << 42 if wanted.start_from == "earliest" else None
        session.run(
            "insert_group",
            (
                session.id, wanted.name, wanted.ephemeral, wanted.max_stalls, session.now,
                since, session.last_key,
            ),
        )  # fmt: skip


def leave(tx: Transaction, epoch: Epoch, names: Sequence[str], unregister: bool) -> None:
    """See `Consumption.leave`."""
    session = Session.enter(tx, epoch.queue)
    promote(session)
    account_attendance(session)
    if session.one("live_epoch", (epoch.number, session.id, session.now)) is not None:
        left = [group for group in session.groups() if group.name in names]
        for group in left:
            _leave_group(session, epoch.number, group, unregister)
        _end_if_alone(session, epoch.number)
    session.save()


def _leave_group(session: Session, epoch: int, group: Group, unregister: bool) -> None:
    if not session.run("delete_member", (epoch, group.id)):
        return
    settling = Settling(session, group)
    claims = [Held(*row) for row in session.all("all_claims", (group.id, epoch))]
    session.run_many("delete_claimed", [(group.id, held.key) for held in claims])
    for held in claims:
        settling.give_back(held)
    settling.finish()
    if (group.ephemeral or unregister) and group.id not in session.attended():
        drop(session, group)


def _end_if_alone(session: Session, epoch: int) -> None:
    """An epoch without groups ends; one that holds lapsed claims dies, so that a tick hands these on."""
    if session.one("memberships", (epoch,)) is not None:
        return
    if session.one("lapsed_keys", (epoch,)) is not None:
        session.run("end_lease", (epoch, session.now))
    else:
        session.run("delete_epoch", (epoch,))
