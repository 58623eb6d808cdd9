"""The life of jobs and their deliveries: ready, claimed, settled, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from checkmate_queue.backends.memory.due import put_due
from checkmate_queue.backends.memory.leases import live_groups
from checkmate_queue.backends.memory.state import Delivery, Job
from checkmate_queue.core.model import Cancelled, Claim, Done, Fail, GiveBack, RetryLater

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.memory.state import (
        Group,
        Membership,
        QueueState,
        Series,
        WorkerEpoch,
    )
    from checkmate_queue.core.model import Millis, Outcome, Settlement


# -- becoming ready ------------------------------------------------------------------------------


def make_ready(queue: QueueState, job: Job, groups: Sequence[Group], now: Millis) -> None:
    """Fan a job out to these groups; without any it becomes unclaimed, or ends (G1, G2)."""
    if groups:
        for group in groups:
            deliver(queue, job, group, now)
    elif job.unclaimed == "drop":
        end_job(queue, job, "expired")
    else:
        job.unclaimed_at = now
        queue.unclaimed[job.key] = job
        if job.series is not None:
            job.series.unclaimed += 1


def deliver(queue: QueueState, job: Job, group: Group, now: Millis) -> None:
    """Give a group its delivery of a job, behind all others of its priority."""
    delivery = Delivery(job, group, now)
    group.deliveries[job.key] = delivery
    job.open_deliveries += 1
    group.ready.append(delivery)
    queue.readied += 1
    if job.series is not None:
        job.series.waiting[group] += 1
        job.series.existing[group] += 1
    if queue.sleeping:
        queue.wake()


def claim_unclaimed(queue: QueueState, groups: Sequence[Group], now: Millis) -> None:
    """Make all unclaimed jobs ready, in order, for these groups (G2)."""
    while queue.unclaimed:
        _, job = queue.unclaimed.popitem(last=False)
        _no_longer_unclaimed(job)
        make_ready(queue, job, groups, now)


def promote(queue: QueueState, now: Millis) -> None:
    """Make everything ready that is due, in the order of (due time, key); then end what has expired."""
    groups = None
    while (thing := queue.due.pop(now)) is not None:
        if isinstance(thing, Job):
            if groups is None:
                groups = live_groups(queue, now)
            _end_delay(queue, thing)
            make_ready(queue, thing, groups, now)
        else:
            thing.group.retrying -= 1
            thing.state = "pending"
            thing.ready_at = now
            thing.group.ready.append(thing)
            queue.readied += 1
            queue.wake()
    expire(queue, now)


# -- expiring ------------------------------------------------------------------------------------


def expire(queue: QueueState, now: Millis) -> None:
    """End deliveries that were not claimed in time (J9), and unclaimed jobs past their retention (G2)."""
    while (job := queue.expiring.pop(now)) is not None:
        if job.due_at is not None:  # due before, and nobody has promoted it since
            queue.due.remove(job)
            _end_delay(queue, job)
            make_ready(queue, job, live_groups(queue, now), now)
        end_waiting(queue, job, "expired")
    while queue.unclaimed:
        job = next(iter(queue.unclaimed.values()))
        if (job.unclaimed_at or 0) + queue.limits.unclaimed_retention_ms > now:
            return
        end_job(queue, job, "expired")


def is_expired(queue: QueueState, job: Job, now: Millis) -> bool:
    """Whether the job's time has passed, so that its id is free although nothing swept it yet (J9)."""
    if job.expires_at is None or job.expires_at > now:
        return False
    return all(delivery.claim_number == 0 for delivery in queue.deliveries_of(job))


# -- claiming and settling -----------------------------------------------------------------------


def claim(
    queue: QueueState, group: Group, epoch: WorkerEpoch, membership: Membership, want: int
) -> list[Claim]:
    """Claim the first `want` ready deliveries of a group, and number the claims in that order."""
    claims = []
    for delivery in group.ready.take(want):
        job = delivery.job
        if job.series is not None and delivery.claim_number == 0:
            _count_down(job.series.waiting, group)
        queue.last_claim += 1
        delivery.claim_number = queue.last_claim
        delivery.state = "processing"
        delivery.holder = epoch
        membership.claims[job.key] = delivery
        claims.append(as_claim(delivery))
    group.processing += len(claims)
    return claims


def as_claim(delivery: Delivery) -> Claim:
    """A claimed delivery as its worker sees it."""
    job = delivery.job
    return Claim(
        job.key,
        job.id,
        job.data,
        job.priority,
        job.enqueued_at,
        delivery.attempts,
        delivery.stalls,
        job.metadata,
    )


def settle(queue: QueueState, delivery: Delivery, settlement: Settlement, now: Millis) -> None:
    """Apply a settlement to a claim or a lapsed claim."""
    if delivery.cancelled:
        end(queue, delivery, "cancelled")
        return
    match settlement:
        case Done():
            end(queue, delivery, "completed")
        case RetryLater():
            release(delivery)
            delivery.attempts += 1
            delivery.state = "retrying"
            delivery.group.retrying += 1
            put_due(queue, now + settlement.delay_ms, delivery)
        case Fail():
            attempts = delivery.attempts + settlement.attempt
            queue.failed.add(delivery.job, delivery.group.name, settlement.failure, attempts, now)
            end(queue, delivery, "failed")
        case GiveBack():
            give_back(queue, delivery)
        case Cancelled():
            end(queue, delivery, "cancelled")
        case _:
            assert_never(settlement)


def give_back(queue: QueueState, delivery: Delivery) -> None:
    """Make a claim ready again at the front of its priority; a cancelled one ends."""
    if delivery.cancelled:
        end(queue, delivery, "cancelled")
        return
    release(delivery)
    delivery.state = "pending"
    delivery.group.ready.put_back(delivery)
    queue.readied += 1
    queue.wake()


def release(delivery: Delivery) -> None:
    """Take a claim or a lapsed claim from its holder."""
    epoch, group, key = delivery.holder, delivery.group, delivery.job.key
    assert epoch is not None
    if delivery.lapsed:
        del epoch.lapsed[group, key]
    else:
        membership = epoch.memberships[group]
        del membership.claims[key]
        if delivery.cancelled:
            membership.cancelled.discard(key)
    delivery.holder = None
    delivery.lapsed = False
    group.processing -= 1


# -- ending --------------------------------------------------------------------------------------


def end(queue: QueueState, delivery: Delivery, outcome: Outcome) -> None:
    """End a delivery, whatever its state; with its last one the job ends."""
    job, group = delivery.job, delivery.group
    was = delivery.state
    if was == "processing":
        release(delivery)
    delivery.state = "ended"
    if was == "pending":
        group.ready.discard()
    elif was == "retrying":
        queue.due.remove(delivery)
        group.retrying -= 1
    group.ended[outcome] += 1
    del group.deliveries[job.key]
    job.open_deliveries -= 1
    if job.series is not None:
        _count_down(job.series.existing, group)
        if delivery.claim_number == 0:
            _count_down(job.series.waiting, group)
        _note_outcome(queue, job.series, outcome)
    if not job.open_deliveries:
        _forget(queue, job)


def end_job(queue: QueueState, job: Job, outcome: Outcome) -> None:
    """End a job that is in no group: it counts once."""
    if job.due_at is not None:
        queue.due.remove(job)
        _end_delay(queue, job)
    elif queue.unclaimed.pop(job.key, None) is not None:
        _no_longer_unclaimed(job)
    queue.ended[outcome] += 1
    if job.series is not None:
        _note_outcome(queue, job.series, outcome)
    _forget(queue, job)


def end_waiting(queue: QueueState, job: Job, outcome: Outcome) -> None:
    """End what was never claimed of a job."""
    if not job.open_deliveries:
        if job.key in queue.jobs:
            end_job(queue, job, outcome)
        return
    for delivery in queue.deliveries_of(job):
        if delivery.claim_number == 0:
            end(queue, delivery, outcome)


def _end_delay(queue: QueueState, job: Job) -> None:
    job.due_at = None
    queue.delayed -= 1


def _no_longer_unclaimed(job: Job) -> None:
    job.unclaimed_at = None
    if job.series is not None:
        job.series.unclaimed -= 1


def _forget(queue: QueueState, job: Job) -> None:
    del queue.jobs[job.key]
    if job.expires_at is not None:
        queue.expiring.remove(job)
    if job.series is None:
        del queue.user_jobs[job.id]
        return
    del queue.schedule_jobs[job.id]
    del job.series.jobs[job.key]
    if not job.series.jobs:
        del queue.series[job.series.schedule_id]


def _note_outcome(queue: QueueState, series: Series, outcome: Outcome) -> None:
    schedule = queue.schedules.get(series.schedule_id)
    if schedule is not None:
        schedule.last_outcome = outcome


def _count_down(counts: dict[Group, int], group: Group) -> None:
    counts[group] -= 1
    if not counts[group]:
        del counts[group]
