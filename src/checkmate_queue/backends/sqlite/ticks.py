"""What time makes due, done by whoever ticks."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.backfill import backfill, is_filling
from checkmate_queue.backends.sqlite.groups import clear, drop
from checkmate_queue.backends.sqlite.leases import account_attendance, require_live, unattended_times
from checkmate_queue.backends.sqlite.promotion import promote
from checkmate_queue.backends.sqlite.scheduling import as_schedule
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.backends.sqlite.settlement import Held, Settling, settle_lapsed
from checkmate_queue.core.model import AbandonedGroup, Cancelled, Claim, LapsedClaim, Tick
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.sqlite.session import Group
    from checkmate_queue.backends.sqlite.transaction import Transaction
    from checkmate_queue.core.model import Epoch, LapseSettlement, Millis, Settlement

_DAY_MS = 86_400_000


def tick(tx: Transaction, epoch: Epoch, settled: Sequence[LapseSettlement]) -> Tick:
    """See `Consumption.tick`."""
    session = Session.enter(tx, epoch.queue)
    require_live(session, epoch)
    _settle(session, epoch.number, settled)
    promote(session)
    more = _expire_failures(session)
    dropped = _reap(session, epoch.number)
    abandoned = _drop_unattended(session, dropped)
    more |= clear(session)
    backfill(session)
    more |= is_filling(session)
    lapsed, more_lapsed = _lapsed(session, epoch.number)
    session.save()
    session.sleep()
    due = session.all("due_schedules", (session.id, session.now, BATCH))
    return Tick(
        now=session.now,
        next_at=_next_at(session, epoch.number),
        lapsed=lapsed,
        due=[as_schedule(row) for row in due],
        readied=session.readied,
        abandoned=abandoned,
        dropped=dropped,
        pending=session.pending(),
        more=more or more_lapsed or len(due) == BATCH,
    )


def _settle(session: Session, epoch: int, settled: Sequence[LapseSettlement]) -> None:
    by_group: defaultdict[str, list[Settlement]] = defaultdict(list)
    for lapse in settled:
        by_group[lapse.group].append(lapse.settlement)
    for name, settlements in by_group.items():
        group = session.group(name)
        if group is not None:
            settle_lapsed(session, group, epoch, settlements)


def _lapsed(session: Session, epoch: int) -> tuple[list[LapsedClaim], bool]:
    """Lapsed claims to be settled, and whether there are more. Those whose job was removed by hand end."""
    rows = session.all("lapsed_claims", (epoch, BATCH + 1))
    lapsed = []
    for row in rows[:BATCH]:
        if row[3] is not None:
            lapsed.append(LapsedClaim(row[0], row[1], Claim._make(row[2:])))
        elif (group := session.group(row[0])) is not None:
            session.run("delete_claimed", (group.id, row[2]))
            session.tallies[group.id].processing -= 1
            session.tallies[group.id].end("expired")
    return lapsed, len(rows) > BATCH


def _expire_failures(session: Session) -> bool:
    if not session.failures:
        return False
    until = session.now - session.tx.limits.failed_retention_ms
    removed = session.run("expire_failures", (session.id, until, BATCH))
    session.failures -= removed
    return removed == BATCH


def _reap(session: Session, heir: int) -> list[str]:
    """Let epochs die whose lease has run out, and hand their claims on; the names of groups that go."""
    dead = [row[0] for row in session.all("dead_epochs", (session.id, session.now))]
    if not dead:
        return []
    account_attendance(session)
    orphaned: set[int] = set()
    for number in dead:
        _end_cancelled(session, number)
        session.run("inherit_lapsed", (number, heir))
        groups = [row[0] for row in session.all("memberships", (number,))]
        session.run_many("inherit_claims", [(group, number, heir) for group in groups])
        orphaned.update(groups)
        session.run("forget_memberships", (number,))
        session.run("delete_epoch", (number,))
    attended = session.attended()
    dropped = [
        group
        for group in session.groups()
        if group.ephemeral and group.id in orphaned and group.id not in attended
    ]
    for group in dropped:
        drop(session, group)
    return [str(group.name) for group in dropped]


def _end_cancelled(session: Session, epoch: int) -> None:
    groups = {group.id: group for group in session.groups()}
    rows = session.all("cancelled_by_epoch", (epoch,))
    session.run_many("delete_claimed", [row[:2] for row in rows])
    for group in {row[0] for row in rows} & groups.keys():
        settling = Settling(session, groups[group])
        for row in rows:
            if row[0] == group:
                settling.settle(Held(*row[1:]), Cancelled(row[1]))
        settling.finish()


def _drop_unattended(session: Session, dropped: list[str]) -> list[AbandonedGroup]:
    """Drop durable groups that nobody consumes though others work, and say which will be (G4)."""
    durable = [group for group in session.groups() if not group.ephemeral]
    if len(durable) < 2:
        return []
    times = unattended_times(session)
    attended = session.attended()
    unattended = sorted(
        (group for group in durable if group.id not in attended), key=lambda g: times[g.id], reverse=True
    )
    kept = len(durable)
    abandoned = []
    for group in unattended:
        left = session.tx.limits.group_retention_ms - times[group.id]
        if kept == 1:
            break
        if left <= 0:
            account_attendance(session)
            drop(session, group)
            dropped.append(str(group.name))
            kept -= 1
        elif _must_warn(group, times[group.id], session.now):
            session.run("note_warning", (group.id, session.now))
            abandoned.append(AbandonedGroup(str(group.name), session.now + left))
    return abandoned


def _must_warn(group: Group, unattended_ms: Millis, now: Millis) -> bool:
    if unattended_ms < _DAY_MS:
        return False
    return group.warned_at is None or now - group.warned_at >= _DAY_MS


def _next_at(session: Session, epoch: int) -> Millis | None:
    """When something is due or expires next, or another epoch's lease runs out."""
    session.forget_heads()
    lease = session.one("next_lease", (session.id, epoch))
    times = [*session.heads, lease[0] if lease is not None else None]
    return min((at for at in times if at is not None), default=None)
