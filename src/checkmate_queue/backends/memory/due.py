"""What is due next in a queue, and news of what is due earlier than all before."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from checkmate_queue.backends.memory.state import Delivery, Job, Recurring

if TYPE_CHECKING:
    from checkmate_queue.backends.memory.state import QueueState
    from checkmate_queue.core.model import Millis


def put_due(queue: QueueState, at: Millis, thing: Job | Delivery | Recurring) -> None:
    """Note when a delayed job, a retry or a schedule is due."""
    before = next_due(queue)
    match thing:
        case Job():
            queue.due.put(at, thing.key, thing)
        case Delivery():
            queue.due.put(at, thing.job.key, thing)
        case Recurring():
            queue.recurring.put(at, thing.spec.id, thing)
        case _:
            assert_never(thing)
    if before is None or at < before:
        queue.wake()


def next_due(queue: QueueState) -> Millis | None:
    """When the first delayed job, retry or schedule is due."""
    return earliest(queue.due.next_at(), queue.recurring.next_at())


def next_at(queue: QueueState) -> Millis | None:
    """When something is due or expires next."""
    unclaimed_until = None
    if queue.unclaimed:
        since = next(iter(queue.unclaimed.values())).unclaimed_at or 0
        unclaimed_until = since + queue.limits.unclaimed_retention_ms
    return earliest(next_due(queue), queue.expiring.next_at(), unclaimed_until)


def earliest(*times: Millis | None) -> Millis | None:
    """The first of the times that are known."""
    return min((at for at in times if at is not None), default=None)
