"""Leases, and how long groups go unattended (G4, G7, G8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from checkmate_queue.store import LeaseLostError

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.session import Session
    from checkmate_queue.core.model import Epoch, Millis


_RESOLUTION_MS = 100


class Membership(NamedTuple):
    """A live epoch's part in a group."""

    group: int
    lease_ms: Millis
    expires_at: Millis
    exchanges: int
    refused: str
    has_orders: int


def renew(session: Session, epoch: Epoch) -> None:
    """Let the lease of a live epoch start anew."""
    if not session.run("renew_lease", (epoch.number, session.id, session.now)):
        raise LeaseLostError


def keep_renewed(session: Session, epoch: Epoch, member: Membership) -> None:
    """Let the lease start anew, unless that was so little ago that a write would be wasted."""
    used = session.now + member.lease_ms - member.expires_at
    if used >= min(_RESOLUTION_MS, member.lease_ms // 20):
        session.run("renew_lease", (epoch.number, session.id, session.now))


def require_live(session: Session, epoch: Epoch) -> None:
    """Raise `LeaseLostError` unless the epoch lives."""
    if session.one("live_epoch", (epoch.number, session.id, session.now)) is None:
        raise LeaseLostError


def membership(session: Session, epoch: Epoch, group: str) -> Membership:
    """The part of a live epoch in a group; raises `LeaseLostError` where it has none."""
    row = session.one("membership", (epoch.number, session.id, session.now, group))
    if row is None:
        require_live(session, epoch)
        raise LeaseLostError(f"The worker has not joined the consumer group {group!r}; join it first.")
    return Membership(*row)


def unattended_times(session: Session) -> dict[int, Millis]:
    """How long each durable group has been without a live member while another group had one, until now."""
    expiries = {row[0]: row[1] for row in session.all("group_expiries", (session.id,))}
    latest = min(session.now, max(expiries.values(), default=0))
    since = session.attended_at
    return {
        group.id: group.unattended_ms + max(0, latest - max(since, expiries.get(group.id, 0)))
        for group in session.groups()
        if not group.ephemeral
    }


def account_attendance(session: Session) -> None:
    """Add up how long groups have been unattended; must come before any change of memberships."""
    if len(session.groups()) > 1:
        times = unattended_times(session)
        changed = [g for g in session.groups() if times.get(g.id, g.unattended_ms) != g.unattended_ms]
        session.run_many("note_unattended", [(group.id, times[group.id]) for group in changed])
        if changed:
            session.forget_groups()
    session.attended_at = session.now
