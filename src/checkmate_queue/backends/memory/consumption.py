"""The way out: join, leave, exchange and heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.memory.deliveries import claim, give_back, promote, settle
from checkmate_queue.backends.memory.due import next_due
from checkmate_queue.backends.memory.groups import end_group, enter_groups
from checkmate_queue.backends.memory.leases import account_attendance, is_attended, lives
from checkmate_queue.backends.memory.state import Membership, WorkerEpoch
from checkmate_queue.core.model import Epoch, Exchange, Orders
from checkmate_queue.store import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.memory.state import Delivery, QueueState
    from checkmate_queue.core.model import GroupJoin, Millis, Settlement


def live_epoch(queue: QueueState, handle: Epoch, now: Millis) -> WorkerEpoch:
    """The epoch, if it lives."""
    epoch = queue.epochs.get(handle.number)
    if epoch is None or not lives(queue, epoch, now):
        raise LeaseLostError
    return epoch


def join(queue: QueueState, worker: str, groups: Sequence[GroupJoin], lease_ms: Millis, now: Millis) -> Epoch:
    """See `Consumption.join`."""
    promote(queue, now)
    account_attendance(queue, now)
    epoch = queue.workers.get(worker)
    if epoch is None or not lives(queue, epoch, now):
        epoch = WorkerEpoch(next(queue.epoch_numbers), worker, lease_ms, now)
        queue.epochs[epoch.number] = queue.workers[worker] = epoch
    epoch.lease_ms = lease_ms
    epoch.expires_at = now + lease_ms
    queue.shortest_lease_ms = min(other.lease_ms for other in queue.epochs.values())
    for group in enter_groups(queue, groups, now):
        epoch.memberships.setdefault(group, Membership())
        group.members.add(epoch)
        group.unattended_ms = 0
        group.warned_at = None
    return Epoch(queue.name, epoch.number)


def leave(queue: QueueState, handle: Epoch, names: Sequence[str], unregister: bool, now: Millis) -> None:
    """See `Consumption.leave`."""
    promote(queue, now)
    account_attendance(queue, now)
    epoch = queue.epochs.get(handle.number)
    if epoch is None or not lives(queue, epoch, now):
        return
    for name in names:
        group = queue.groups.get(name)
        if group is None or epoch not in group.members:
            continue
        for delivery in list(epoch.memberships[group].claims.values()):
            give_back(queue, delivery)
        del epoch.memberships[group]
        group.members.remove(epoch)
        if (group.ephemeral or unregister) and not is_attended(queue, group, now):
            end_group(queue, group)
    if not epoch.memberships:
        _end_epoch(queue, epoch, now)


def _end_epoch(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> None:
    epoch.expires_at = now
    if not epoch.lapsed:  # else a tick reaps it, and hands these on
        forget_epoch(queue, epoch)


def forget_epoch(queue: QueueState, epoch: WorkerEpoch) -> None:
    """Remove an epoch that holds nothing and is in no group."""
    del queue.epochs[epoch.number]
    if queue.workers.get(epoch.worker) is epoch:
        del queue.workers[epoch.worker]


def exchange(
    queue: QueueState,
    handle: Epoch,
    name: str,
    *,
    n: int,
    settlements: Sequence[Settlement],
    want: int,
    now: Millis,
) -> Exchange:
    """See `Consumption.exchange`."""
    epoch = live_epoch(queue, handle, now)
    group = queue.groups.get(name)
    membership = epoch.memberships.get(group) if group is not None else None
    if group is None or membership is None:
        raise LeaseLostError(f"The worker has not joined the consumer group {name!r}; join it first.")
    if n not in (membership.exchanges, membership.exchanges + 1) or n < 1:
        raise ValueError(f"exchange {n} of {name!r} is neither {membership.exchanges} again nor the next")
    epoch.expires_at = now + epoch.lease_ms
    if n > membership.exchanges:
        membership.exchanges = n
        membership.last_refused = _settle_all(queue, membership.claims, settlements, now)
        promote(queue, now)
        may_claim = want if not queue.paused else 0
        membership.last_claims = claim(queue, group, epoch, membership, may_claim)
        if want > 0 and not membership.last_claims:
            queue.sleeping = True
    return Exchange(
        now,
        list(membership.last_claims),
        list(membership.last_refused),
        sorted(membership.cancelled),
        next_due(queue),
        queue.paused,
    )


def _settle_all(
    queue: QueueState, claims: dict[int, Delivery], settlements: Sequence[Settlement], now: Millis
) -> list[int]:
    refused = []
    for settlement in settlements:
        delivery = claims.get(settlement.key)
        if delivery is None:
            refused.append(settlement.key)
        else:
            settle(queue, delivery, settlement, now)
    return refused


def heartbeat(queue: QueueState, handle: Epoch, report: bytes, now: Millis) -> Orders:
    """See `Consumption.heartbeat`."""
    epoch = live_epoch(queue, handle, now)
    epoch.expires_at = now + epoch.lease_ms
    epoch.report = report
    return Orders(
        [
            (group.name, key)
            for group, membership in epoch.memberships.items()
            for key in sorted(membership.cancelled)
        ]
    )
