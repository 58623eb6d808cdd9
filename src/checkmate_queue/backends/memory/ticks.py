"""What time makes due on behalf of the whole queue: lapsed leases, unattended groups, due schedules."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from checkmate_queue.backends.memory.consumption import forget_epoch
from checkmate_queue.backends.memory.deliveries import as_claim, end, promote, release, settle
from checkmate_queue.backends.memory.due import earliest, next_at
from checkmate_queue.backends.memory.groups import end_group
from checkmate_queue.backends.memory.leases import account_attendance, is_attended, lives
from checkmate_queue.backends.memory.schedules import as_schedule
from checkmate_queue.core.model import AbandonedGroup, LapsedClaim, Tick
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.memory.state import Delivery, Group, QueueState, WorkerEpoch
    from checkmate_queue.core.model import LapseSettlement, Millis

_DAY_MS = 86_400_000


def tick(queue: QueueState, epoch: WorkerEpoch, settled: Sequence[LapseSettlement], now: Millis) -> Tick:
    """See `Consumption.tick`."""
    readied_before = queue.readied
    _settle_lapsed(queue, epoch, settled, now)
    promote(queue, now)
    queue.failed.expire(now)
    account_attendance(queue, now)
    dropped = _reap(queue, epoch, now)
    abandoned = _drop_unattended(queue, dropped, now)
    lapsed = sorted(epoch.lapsed.values(), key=attrgetter("claim_number"))
    due = queue.recurring.due(now, BATCH)
    queue.sleeping = True
    return Tick(
        now=now,
        next_at=earliest(next_at(queue), *_leases_of_others(queue, epoch)),
        lapsed=[_as_lapsed(delivery) for delivery in lapsed[:BATCH]],
        due=[as_schedule(recurring) for recurring in due],
        readied=queue.readied - readied_before,
        abandoned=abandoned,
        dropped=dropped,
        pending=sum(len(group.ready) for group in queue.groups.values()),
        more=len(lapsed) > BATCH or len(due) == BATCH,
    )


def _settle_lapsed(
    queue: QueueState, epoch: WorkerEpoch, settled: Sequence[LapseSettlement], now: Millis
) -> None:
    for lapse in settled:
        group = queue.groups.get(lapse.group)
        delivery = epoch.lapsed.get((group, lapse.settlement.key)) if group is not None else None
        if delivery is not None:
            settle(queue, delivery, lapse.settlement, now)


def _reap(queue: QueueState, heir: WorkerEpoch, now: Millis) -> list[str]:
    dropped = []
    for dead in [epoch for epoch in queue.epochs.values() if not lives(queue, epoch, now)]:
        for delivery in list(dead.lapsed.values()):
            _inherit(queue, delivery, heir)
        for group, membership in list(dead.memberships.items()):
            for delivery in list(membership.claims.values()):
                delivery.stalls += 1
                _inherit(queue, delivery, heir)
            del dead.memberships[group]
            group.members.remove(dead)
            if group.ephemeral and not is_attended(queue, group, now):
                end_group(queue, group)
                dropped.append(group.name)
        forget_epoch(queue, dead)
    return dropped


def _inherit(queue: QueueState, delivery: Delivery, heir: WorkerEpoch) -> None:
    if delivery.cancelled:
        end(queue, delivery, "cancelled")
        return
    release(delivery)
    delivery.holder = heir
    delivery.lapsed = True
    delivery.group.processing += 1
    heir.lapsed[delivery.group, delivery.job.key] = delivery


def _drop_unattended(queue: QueueState, dropped: list[str], now: Millis) -> list[AbandonedGroup]:
    durable = [group for group in queue.groups.values() if not group.ephemeral]
    unattended = [group for group in durable if not is_attended(queue, group, now)]
    unattended.sort(key=attrgetter("unattended_ms"), reverse=True)
    kept = len(durable)
    abandoned = []
    for group in unattended:
        if kept == 1:
            break
        left = queue.limits.group_retention_ms - group.unattended_ms
        if left <= 0:
            end_group(queue, group)
            dropped.append(group.name)
            kept -= 1
        elif _must_warn(group, now):
            group.warned_at = now
            abandoned.append(AbandonedGroup(group.name, now + left))
    return abandoned


def _must_warn(group: Group, now: Millis) -> bool:
    if group.unattended_ms < _DAY_MS:
        return False
    return group.warned_at is None or now - group.warned_at >= _DAY_MS


def _leases_of_others(queue: QueueState, epoch: WorkerEpoch) -> list[Millis]:
    return [other.expires_at for other in queue.epochs.values() if other is not epoch]


def _as_lapsed(delivery: Delivery) -> LapsedClaim:
    group = delivery.group
    return LapsedClaim(group.name, group.max_stalls, as_claim(delivery))
