"""Moving a queue's records out of and into memory (B2)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, assert_never

from checkmate_queue.backends.memory.deliveries import as_claim
from checkmate_queue.backends.memory.due import put_due
from checkmate_queue.backends.memory.schedules import add_to_series, as_schedule, series_of
from checkmate_queue.backends.memory.state import Delivery, Group, Job, Membership, Recurring, WorkerEpoch
from checkmate_queue.core.moving import (
    Export,
    HeldClaim,
    Moved,
    MovedClaim,
    MovedEpoch,
    MovedFailure,
    MovedGroup,
    MovedJob,
    MovedQueue,
    MovedReady,
    MovedRetry,
    MovedSchedule,
    MovedUnclaimed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkmate_queue.backends.memory.state import QueueState
    from checkmate_queue.core.model import Millis, Outcome


@dataclass(slots=True)
class Reception:
    """A move into this store: the number of its last batch, and whether it is over."""

    token: str
    successor: str
    batches: int = 0
    admitted: bool = False


# -- out -----------------------------------------------------------------------------------------


def export(queue: QueueState, cursor: str, limit: int, most_bytes: int, now: Millis) -> Export:
    """See `Moving.export`; the cursor is a number of records."""
    start = int(cursor or 0)
    records: list[Moved] = []
    size = 0
    for record in islice(_records(queue, now), start, None):
        if records and (len(records) >= limit or size >= most_bytes):
            return Export(records, str(start + len(records)))
        records.append(record)
        if isinstance(record, MovedJob | MovedFailure):
            size += len(record.data)
    return Export(records, None)


def _records(queue: QueueState, now: Millis) -> Iterator[Moved]:
    yield MovedQueue(
        queue.paused, queue.last_key, queue.last_claim, queue.last_revision, _counts(queue.ended)
    )
    for _, group in sorted(queue.groups.items()):
        yield MovedGroup(
            group.name, group.ephemeral, group.max_stalls, group.registered_at,
            group.unattended_ms, group.warned_at, _counts(group.ended),
        )  # fmt: skip
    for epoch in queue.epochs.values():
        yield MovedEpoch(
            _name_of(queue, epoch),
            epoch.lease_ms,
            _was_alive(queue, epoch),
            {group.name: membership.exchanges for group, membership in epoch.memberships.items()},
            epoch.report,
        )
    for _, recurring in sorted(queue.schedules.items()):
        yield MovedSchedule(as_schedule(recurring))
    for job in queue.jobs.values():
        yield MovedJob(
            job.key, job.id, _schedule_of(job), job.data, job.metadata, job.priority,
            job.enqueued_at, job.due_at, job.expires_at, job.unclaimed, job.token,
        )  # fmt: skip
    for job in queue.unclaimed.values():
        yield MovedUnclaimed(job.key, job.unclaimed_at or now)
    yield from _deliveries(queue)
    for entry in queue.failed.select(None, None):
        job = entry.job
        yield MovedFailure(
            job.key, job.id, _schedule_of(job), entry.group, job.data, job.metadata,
            job.priority, job.enqueued_at, job.unclaimed, entry.failure, entry.attempts, entry.failed_at,
        )  # fmt: skip


def _deliveries(queue: QueueState) -> Iterator[Moved]:
    groups = [group for _, group in sorted(queue.groups.items())]
    for group in groups:
        for each, front in group.ready.in_order():
            yield MovedReady(
                each.job.key, group.name, each.attempts, each.stalls, each.ready_at, each.claim_number, front
            )
    for due_at, thing in queue.due.in_order():
        if isinstance(thing, Delivery):
            yield MovedRetry(thing.job.key, thing.group.name, thing.attempts, thing.stalls, due_at)
    claims = []
    for epoch in queue.epochs.values():
        for membership in epoch.memberships.values():
            claims += [_claim(queue, each, epoch, exchange) for each, exchange in _numbered(membership)]
        claims += [_claim(queue, each, epoch, 0) for each in epoch.lapsed.values()]
    yield from sorted(claims, key=attrgetter("claim"))


def _counts(ended: Mapping[Outcome, int]) -> dict[Outcome, int]:
    return {outcome: ended.get(outcome, 0) for outcome in ("completed", "failed", "expired", "cancelled")}


def _schedule_of(job: Job) -> str | None:
    return None if job.series is None else job.series.schedule_id


def _was_alive(queue: QueueState, epoch: WorkerEpoch) -> bool:
    # As of the last contact: while the queue is fenced nobody can renew.
    return epoch.expires_at > queue.contact_at


def _name_of(queue: QueueState, epoch: WorkerEpoch) -> str:
    # Where a worker came back under its name, its dead epochs give that away: theirs matters no more.
    newest = queue.workers.get(epoch.worker) is epoch
    return epoch.worker if newest else f"{epoch.worker} (dead, {epoch.number})"


def _claim(queue: QueueState, each: Delivery, epoch: WorkerEpoch, exchange: int) -> MovedClaim:
    return MovedClaim(
        each.job.key, each.group.name, each.attempts, each.stalls, each.ready_at, each.claim_number,
        _name_of(queue, epoch), exchange, each.cancelled, each.lapsed,
    )  # fmt: skip


# -- in ------------------------------------------------------------------------------------------


def restore(queue: QueueState, record: Moved) -> None:
    """Store one record of `Moving.restore`."""
    match record:
        case MovedQueue() | MovedGroup() | MovedEpoch() | MovedSchedule():
            _restore_frame(queue, record)
        case MovedJob():
            _restore_job(queue, record)
        case MovedUnclaimed():
            job = queue.jobs[record.key]
            job.unclaimed_at = record.since
            queue.unclaimed[job.key] = job
            if job.series is not None:
                job.series.unclaimed += 1
        case MovedReady() | MovedRetry() | MovedClaim():
            _restore_delivery(queue, record)
        case MovedFailure():
            _restore_failure(queue, record)
        case _:
            assert_never(record)


def _restore_frame(queue: QueueState, record: MovedQueue | MovedGroup | MovedEpoch | MovedSchedule) -> None:
    match record:
        case MovedQueue():
            queue.paused, queue.last_key = record.paused, record.last_key
            queue.last_claim, queue.last_revision = record.last_claim, record.last_revision
            queue.ended.update(record.ended)
        case MovedGroup():
            group = Group(record.name, record.ephemeral, record.max_stalls, record.registered_at)
            group.unattended_ms, group.warned_at = record.unattended_ms, record.warned_at
            group.ended.update(record.ended)
            queue.groups[group.name] = group
        case MovedEpoch():
            _restore_epoch(queue, record)
        case MovedSchedule():
            stored = record.schedule
            recurring = Recurring(
                stored.spec, stored.revision, stored.anchor, stored.next_at,
                stored.last_run_at, stored.last_outcome,
            )  # fmt: skip
            queue.schedules[stored.spec.id] = recurring
            if stored.next_at is not None:
                put_due(queue, stored.next_at, recurring)
        case _:
            assert_never(record)


def _restore_epoch(queue: QueueState, record: MovedEpoch) -> None:
    # Until the store accepts, its lease is only a mark of whether it lives.
    epoch = WorkerEpoch(
        next(queue.epoch_numbers), record.worker, record.lease_ms, int(record.alive), report=record.report
    )
    queue.epochs[epoch.number] = queue.workers[epoch.worker] = epoch
    for name, exchanges in record.exchanges.items():
        group = queue.groups[name]
        epoch.memberships[group] = Membership(exchanges=exchanges)
        group.members.add(epoch)


def _restore_job(queue: QueueState, record: MovedJob) -> None:
    job = Job(
        record.key, record.id, record.data, record.priority, record.metadata, record.enqueued_at,
        record.expires_at, record.unclaimed, record.token,
    )  # fmt: skip
    if record.schedule_id is None:
        queue.jobs[job.key] = queue.user_jobs[job.id] = job
    else:
        add_to_series(queue, job, series_of(queue, record.schedule_id))
    if job.expires_at is not None:
        queue.expiring.put(job.expires_at, job.key, job)
    if record.due_at is not None:
        job.due_at = record.due_at
        queue.delayed += 1
        put_due(queue, job.due_at, job)


def _restore_delivery(queue: QueueState, record: MovedReady | MovedRetry | MovedClaim) -> None:
    job, group = queue.jobs[record.key], queue.groups[record.group]
    delivery = Delivery(job, group, 0, attempts=record.attempts, stalls=record.stalls)
    group.deliveries[job.key] = delivery
    job.open_deliveries += 1
    match record:
        case MovedReady():
            delivery.ready_at, delivery.claim_number = record.since, record.claim
            if record.front:
                group.ready.put_back(delivery)
            else:
                group.ready.append(delivery)
        case MovedRetry():
            # Which claim it was matters no more, only that there was one.
            delivery.state, delivery.claim_number = "retrying", 1
            group.retrying += 1
            put_due(queue, record.due_at, delivery)
        case MovedClaim():
            _restore_claim(queue, delivery, record)
        case _:
            assert_never(record)
    if job.series is not None:
        job.series.existing[group] += 1
        if delivery.claim_number == 0:
            job.series.waiting[group] += 1


def _restore_claim(queue: QueueState, delivery: Delivery, record: MovedClaim) -> None:
    group, key = delivery.group, delivery.job.key
    epoch = delivery.holder = queue.workers[record.worker]
    delivery.state, delivery.ready_at, delivery.claim_number = "processing", record.since, record.claim
    delivery.cancelled, delivery.lapsed = record.cancelled, record.lapsed
    group.processing += 1
    if record.lapsed:
        epoch.lapsed[group, key] = delivery
        return
    membership = epoch.memberships[group]
    membership.claims[key] = delivery
    if record.exchange == membership.exchanges:
        membership.last_claims.append(as_claim(delivery))
    if record.cancelled:
        membership.cancelled.add(key)


def _restore_failure(queue: QueueState, record: MovedFailure) -> None:
    siblings = queue.failed.select(record.job_id, None)
    job = next((entry.job for entry in reversed(siblings) if entry.job.key == record.key), None)
    if job is None:
        job = Job(
            record.key, record.job_id, record.data, record.priority, record.metadata, record.enqueued_at,
            unclaimed=record.unclaimed,
        )  # fmt: skip
        if record.schedule_id is not None:
            job.series = series_of(queue, record.schedule_id)
    queue.failed.add(job, record.group, record.failure, record.attempts, record.failed_at)


def admit(queue: QueueState, now: Millis) -> None:
    """Let the leases of living epochs start anew, and the queue accept."""
    for epoch in queue.epochs.values():
        if epoch.expires_at > 0:
            epoch.expires_at = now + epoch.lease_ms
    queue.shortest_lease_ms = min((epoch.lease_ms for epoch in queue.epochs.values()), default=0)
    queue.contact_at = queue.attended_at = now
    queue.successor = None


def held(epoch: WorkerEpoch, now: Millis) -> list[HeldClaim]:
    """See `Moving.held`."""
    epoch.expires_at = now + epoch.lease_ms
    found = [
        (each.claim_number, HeldClaim(group.name, each.job.key, each.job.id, exchange, each.cancelled))
        for group, membership in epoch.memberships.items()
        for each, exchange in _numbered(membership)
    ]
    return [claim for _, claim in sorted(found)]


def _numbered(membership: Membership) -> Iterator[tuple[Delivery, int]]:
    last = {claim.key for claim in membership.last_claims}
    for each in membership.claims.values():
        yield each, membership.exchanges - (each.job.key not in last)
