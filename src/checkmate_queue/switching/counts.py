"""What a switch would move, counted without moving it (B7)."""

from __future__ import annotations

from checkmate_queue.store import Inspector, Scheduling


def warnings_of(running: int) -> tuple[str, ...]:
    """What people should know of deliveries that run meanwhile."""
    if not running:
        return ()
    return (f"{running} deliveries were running; they go on, and are settled on the new backend",)


async def count_jobs(store: Inspector, queue: str) -> int:
    """All living jobs of a queue."""
    count = after = 0
    while page := await store.jobs(queue, after=after, limit=1000):
        count, after = count + len(page), page[-1].key
    return count


async def count_schedules(store: Scheduling, queue: str) -> int:
    """All recurring jobs of a queue."""
    count, after = 0, ""
    while page := await store.schedules(queue, after=after):
        count, after = count + len(page), page[-1].spec.id
    return count
