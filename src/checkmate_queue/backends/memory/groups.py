"""Consumer groups: registering, fanning in late, and ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.memory.deliveries import claim_unclaimed, deliver, end, promote
from checkmate_queue.backends.memory.leases import account_attendance, is_attended
from checkmate_queue.backends.memory.state import Group
from checkmate_queue.core.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.memory.state import Job, QueueState
    from checkmate_queue.core.model import GroupJoin, Millis


def enter_groups(queue: QueueState, joins: Sequence[GroupJoin], now: Millis) -> list[Group]:
    """Register groups, and give them what they get from the past (steps 3 to 5 of `join`)."""
    groups = []
    late = []
    for join in joins:
        group = queue.groups.get(join.name)
        if group is None:
            group = queue.groups[join.name] = Group(join.name, join.ephemeral, join.max_stalls, now)
            if join.start_from == "earliest":
                late.append(group)
        group.ephemeral = join.ephemeral
        group.max_stalls = join.max_stalls
        groups.append(group)
    others = [job for job in queue.jobs.values() if _is_of_use(job, now)] if late else []
    durable = [group for group in groups if not group.ephemeral]
    if durable:
        claim_unclaimed(queue, durable, now)
    for job in others:
        for group in late:
            deliver(queue, job, group, now)
    return groups


def _is_of_use(job: Job, now: Millis) -> bool:
    return job.open_deliveries > 0 and (job.expires_at is None or job.expires_at > now)


def end_group(queue: QueueState, group: Group) -> None:
    """Drop a group: its deliveries end as expired, and its lifetime counts stay with the queue.

    A claim that was cancelled ends as such: its lease has lapsed, or its group would not go.
    """
    for delivery in list(group.deliveries.values()):
        end(queue, delivery, "cancelled" if delivery.cancelled else "expired")
    for epoch in group.members:
        del epoch.memberships[group]
    queue.ended.update(group.ended)
    del queue.groups[group.name]


def drop_group(queue: QueueState, name: str, now: Millis) -> bool:
    """See `Repair.drop_group`."""
    promote(queue, now)
    group = queue.groups.get(name)
    if group is None:
        return False
    _refuse_attended(queue, group, now)
    account_attendance(queue, now)
    end_group(queue, group)
    return True


def rename_group(queue: QueueState, old: str, new: str, now: Millis) -> None:
    """See `Repair.rename_group`."""
    group = queue.groups.get(old)
    if group is None:
        raise InvalidArgumentError(f"Queue {queue.name!r} has no consumer group {old!r}; nothing to rename.")
    _refuse_attended(queue, group, now)
    if new in queue.groups:
        raise InvalidArgumentError(
            f"Queue {queue.name!r} has a consumer group {new!r} already; choose a name that is free."
        )
    del queue.groups[old]
    queue.groups[new] = group
    group.name = new
    for entry in queue.failed.select(None, old):
        entry.group = new


def _refuse_attended(queue: QueueState, group: Group, now: Millis) -> None:
    if is_attended(queue, group, now):
        raise InvalidArgumentError(
            f"Consumer group {group.name!r} of queue {queue.name!r} has live consumers; stop them first."
        )
