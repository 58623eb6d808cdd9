"""The way in: one caller's unit is stored whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.memory.deliveries import make_ready
from checkmate_queue.backends.memory.due import put_due
from checkmate_queue.backends.memory.state import Job
from checkmate_queue.core.model import Added, QueueFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.memory.state import Group, QueueState
    from checkmate_queue.core.model import Millis, NewJob


def add_unit(
    queue: QueueState, unit: Sequence[NewJob], live: Sequence[Group], now: Millis
) -> list[Added] | QueueFull:
    """Apply one unit of `Ingestion.add`."""
    answers = []
    fresh: dict[str, NewJob] = {}
    for new in unit:
        living = queue.user_jobs.get(new.id)
        if new.id in fresh:
            answers.append(Added(new.id, False))
        elif living is not None:
            answers.append(Added(new.id, new.token != "" and living.token == new.token))
        else:
            fresh[new.id] = new
            answers.append(Added(new.id, True))
    limit = queue.limits.max_queue_size
    if fresh and limit is not None and _size(queue) + len(fresh) > limit:
        return QueueFull(limit)
    for new in fresh.values():
        _store(queue, new, live, now)
    return answers


def _size(queue: QueueState) -> int:
    fullest = max((len(group.ready) for group in queue.groups.values()), default=0)
    return queue.delayed + len(queue.unclaimed) + fullest


def _store(queue: QueueState, new: NewJob, live: Sequence[Group], now: Millis) -> None:
    queue.last_key += 1
    job = Job(queue.last_key, new.id, new.data, new.priority, new.metadata, now)
    job.unclaimed = new.unclaimed
    job.token = new.token
    queue.jobs[job.key] = queue.user_jobs[job.id] = job
    if new.expires_ms is not None:
        job.expires_at = now + new.expires_ms
        queue.expiring.put(job.expires_at, job.key, job)
    if new.delay_ms > 0:
        job.due_at = now + new.delay_ms
        queue.delayed += 1
        put_due(queue, job.due_at, job)
    else:
        make_ready(queue, job, live, now)
