"""Exact numbers (L3)."""

from __future__ import annotations

from typing import Any

from checkmate_queue import Discard, GroupStats, Job, QueueStats, Retry
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled
from tests.system.storages import Link, ManagerFor


async def test_every_number_is_exact(manager_for: ManagerFor) -> None:
    """L3: each state, per group and for the queue, and the same for every process."""
    clock = TravellingClock()
    managers = [await manager_for(link=Link(), clock=clock) for _ in range(2)]
    queue = managers[0].get_queue("numbers")
    gate = Gate()

    async def handler(job: Job[str]) -> None:
        match job.data:
            case "fails":
                raise Discard
            case "retries":
                raise Retry(600)
            case "runs":
                await gate(job)

    await queue.enqueue("unclaimed, then completed")
    assert (await queue.get_stats()) == QueueStats(unclaimed=1)
    consumer = await queue.consume(handler, consumer_group="g")
    parked = await queue.consume(Recorder(), consumer_group="parked")
    await parked.stop()
    await queue.enqueue_many(["completes", "fails", "fails", "retries", "runs"])
    await queue.enqueue_many(["delayed"] * 3, start_delay=600)
    cancelled = await queue.enqueue("cancelled", start_delay=600)
    await queue.cancel(cancelled)
    await queue.enqueue("expires", start_delay=1, expires_in=2)
    clock.advance(5)
    queue.work_came()
    await queue.schedule_recurring("s", 1, interval_seconds=60, start_delay=60)

    async def rest() -> bool:
        stats = await queue.get_stats()
        return (stats.processing, stats.groups["g"].pending, stats.expired) == (1, 0, 2)

    await wait_until(rest, description="all have come to rest", timeout=PATIENCE)
    expected = QueueStats(
        pending=5,
        delayed=4,
        unclaimed=0,
        processing=1,
        completed=2,
        failed=2,
        expired=2,
        cancelled=1,
        consumer_groups=2,
        oldest_pending_seconds=5.0,
        groups={
            "g": GroupStats(delayed=1, processing=1, completed=2, failed=2, expired=1),
            "parked": GroupStats(pending=5, expired=1, oldest_pending_seconds=5.0),
        },
    )
    for manager in managers:
        assert await manager.get_queue("numbers").get_stats() == expected
        assert await manager.get_queue("numbers").get_in_flight_count() == 1
        assert await manager.get_in_flight_job_count() == 1
    gate.open()
    await consumer.stop()


async def test_lifetime_counts_outlive_their_groups(manager_for: ManagerFor) -> None:
    """L3: those of a group that goes stay in the queue's."""
    manager = await manager_for()
    queue = manager.get_queue("numbers")
    consumer = await queue.consume(Recorder(), consumer_group="goes")
    await queue.enqueue_many(range(3))
    await settled(queue)
    await consumer.stop(unregister=True)
    stats = await queue.get_stats()
    assert (stats.completed, stats.consumer_groups, dict(stats.groups)) == (3, 0, {})


async def test_aggregated_numbers_cover_all_queues(manager_for: ManagerFor) -> None:
    """L3: also those that this process never asked for; groups are named with their queue."""
    clock = TravellingClock()
    managers = [await manager_for(link=Link(), clock=clock) for _ in range(2)]
    one, two = managers[0].get_queue("one"), managers[0].get_queue("two")
    for queue in (one, two):
        consumer = await queue.consume(Recorder(), consumer_group="g")
        await consumer.stop()
    await one.enqueue_many(range(2))
    clock.advance(7)
    await two.enqueue("x")
    await two.enqueue("x", start_delay=60)
    stats = await managers[1].get_aggregated_stats()
    assert (stats.pending, stats.delayed, stats.consumer_groups) == (3, 1, 2)
    assert stats.oldest_pending_seconds == 7.0
    assert {name: group.pending for name, group in stats.groups.items()} == {"one/g": 2, "two/g": 1}


async def test_an_unused_queue_has_no_numbers(manager_for: ManagerFor) -> None:
    """L3: all of them are zero."""
    manager = await manager_for()
    assert await manager.get_queue("unused").get_stats() == QueueStats()
    assert await manager.get_aggregated_stats() == QueueStats()
    assert await manager.get_queue("unused").list_jobs() == []


async def test_the_oldest_pending_job_tells_its_age(manager_for: ManagerFor) -> None:
    """L3: since it became ready; of a retry since it is ready again; None where nothing waits."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("ages")
    consumer = await queue.consume(Recorder(), consumer_group="g")
    await consumer.stop()
    assert (await queue.get_stats()).oldest_pending_seconds is None
    await queue.enqueue("low", priority=-1)
    clock.advance(3)
    await queue.enqueue("high", priority=1)
    clock.advance(1.5)
    assert (await queue.get_stats()).oldest_pending_seconds == 4.5
    recorder: Any = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await settled(queue)
    assert (await queue.get_stats()).oldest_pending_seconds is None
