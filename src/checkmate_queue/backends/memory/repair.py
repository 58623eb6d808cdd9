"""What people do to jobs: cancel, and retry or discard what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.memory.deliveries import end, end_job, make_ready
from checkmate_queue.backends.memory.schedules import add_to_series, series_of
from checkmate_queue.backends.memory.state import Job
from checkmate_queue.core.errors import JobExistsError
from checkmate_queue.core.model import CancelResult

if TYPE_CHECKING:
    from checkmate_queue.backends.memory.state import Delivery, QueueState
    from checkmate_queue.core.model import Millis


def cancel(queue: QueueState, job_id: str) -> CancelResult:
    """See `Repair.cancel`."""
    job = queue.user_jobs.get(job_id) or queue.schedule_jobs.get(job_id)
    if job is None:
        return CancelResult(0, 0)
    if not job.open_deliveries:
        end_job(queue, job, "cancelled")
        return CancelResult(1, 0)
    deliveries = queue.deliveries_of(job)
    running = [delivery for delivery in deliveries if delivery.state == "processing"]
    for delivery in deliveries:
        if delivery.state != "processing":
            end(queue, delivery, "cancelled")
    for delivery in running:
        _signal(queue, delivery)
    return CancelResult(len(deliveries) - len(running), len(running))


def _signal(queue: QueueState, delivery: Delivery) -> None:
    delivery.cancelled = True
    if delivery.holder is not None and not delivery.lapsed:
        delivery.holder.memberships[delivery.group].cancelled.add(delivery.job.key)
    queue.wake()


def retry_failed(queue: QueueState, job_id: str, group: str | None, now: Millis) -> int:
    """See `Repair.retry_failed`."""
    entries = queue.failed.select(job_id, None)
    failed = entries[-1].job if entries else None
    living = queue.user_jobs if failed is None or failed.series is None else queue.schedule_jobs
    if job_id in living:
        raise JobExistsError(
            f"A job {job_id!r} is still in queue {queue.name!r}; it can be retried when that one has ended."
        )
    retried = [
        entry
        for entry in entries
        if entry.job is failed and entry.group in queue.groups and group in (None, entry.group)
    ]
    if failed is None or not retried:
        return 0
    queue.last_key += 1
    job = Job(
        queue.last_key, job_id, failed.data, failed.priority, failed.metadata, failed.enqueued_at,
        unclaimed=failed.unclaimed,
    )  # fmt: skip
    if failed.series is None:
        queue.jobs[job.key] = queue.user_jobs[job_id] = job
    else:
        add_to_series(queue, job, series_of(queue, failed.series.schedule_id))
    make_ready(queue, job, [queue.groups[entry.group] for entry in retried], now)
    for entry in retried:
        queue.failed.remove(entry)
    return len(retried)


def discard_failed(queue: QueueState, job_id: str | None, group: str | None) -> int:
    """See `Repair.discard_failed`."""
    entries = queue.failed.select(job_id, group)
    for entry in entries:
        queue.failed.remove(entry)
    return len(entries)
