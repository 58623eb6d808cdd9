"""Leases: contact, gaps, and who lives (G4, G7, G12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkmate_queue.backends.memory.state import Group, QueueState, WorkerEpoch
    from checkmate_queue.core.model import Millis

_BACKWARDS_MS = 1000


def contact(queue: QueueState, now: Millis) -> None:
    """Note that a process reached the queue; leases don't run over a gap before."""
    if 0 <= (now - queue.contact_at) * 2 <= queue.shortest_lease_ms:
        queue.contact_at = now
        return
    shifts = {epoch: shift(queue, epoch, now) for epoch in queue.epochs.values()}
    for epoch, by in shifts.items():
        if epoch.expires_at <= queue.contact_at:
            epoch.expires_at = min(epoch.expires_at, now)  # dead, and stays so if the clock went back
        else:
            epoch.expires_at += by
    if any(shifts.values()):
        queue.attended_at += now - queue.contact_at
    queue.contact_at = now


def shift(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> Millis:
    """By how much a lease is moved on since the last contact, which may not be noted yet."""
    gap = now - queue.contact_at
    return gap if gap * 2 > epoch.lease_ms or gap < -_BACKWARDS_MS else 0


def lives(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> bool:
    """Whether an epoch's lease has not run out."""
    return epoch.expires_at > queue.contact_at and epoch.expires_at + shift(queue, epoch, now) > now


def is_attended(queue: QueueState, group: Group, now: Millis) -> bool:
    """Whether a group has a live member."""
    return any(lives(queue, epoch, now) for epoch in group.members)


def live_groups(queue: QueueState, now: Millis) -> list[Group]:
    """The groups that a job is fanned out to."""
    return [group for group in queue.groups.values() if not group.ephemeral or is_attended(queue, group, now)]


def account_attendance(queue: QueueState, now: Millis) -> None:
    """Add up how long each durable group was without a live member while another group had one (G4).

    Called before memberships change, and at every tick. A lease that has run out since the last time
    attended its group until then.
    """
    since = queue.attended_at
    queue.attended_at = now
    if len(queue.groups) < 2:
        return
    until = {
        group: max((epoch.expires_at for epoch in group.members), default=0)
        for group in queue.groups.values()
    }
    latest = min(now, max(until.values()))
    for group, own in until.items():
        if not group.ephemeral:
            group.unattended_ms += max(0, latest - max(since, own))
