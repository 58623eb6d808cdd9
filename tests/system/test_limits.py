"""Full queues (J8) and jobs whose news is stale (J9)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from checkmate_queue import Enqueue, InvalidArgumentError, Job, QueueFullError, Retry
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import Gate, Recorder, settled, still_works
from tests.system.storages import ManagerFor


async def test_a_full_queue_refuses_with_its_name_and_limit(manager_for: ManagerFor) -> None:
    """J8: `QueueFullError`, "Queue '<name>' is full (max: N)", and it takes again when there is room."""
    manager = await manager_for(max_queue_size=3)
    queue = manager.get_queue("small")
    await queue.enqueue(0, start_delay=600, job_id="delayed")
    await queue.enqueue_many([1, 2])
    with pytest.raises(QueueFullError) as raised:
        await queue.enqueue(3)
    assert str(raised.value) == "Queue 'small' is full (max: 3)"
    assert not (await queue.enqueue("duplicate", job_id="delayed")).created
    stats = await queue.get_stats()
    assert (stats.delayed, stats.unclaimed) == (1, 2)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(2)
    await still_works(queue, recorder)


async def test_busy_consumers_or_not_the_ready_ones_count(manager_for: ManagerFor) -> None:
    """J8: what runs does not count, what is ready in the fullest group does."""
    manager = await manager_for(max_queue_size=2)
    queue = manager.get_queue("small")
    gate, quick = Gate(), Recorder()
    await queue.consume(gate, consumer_group="slow", concurrency=1)
    await queue.consume(quick, consumer_group="quick")
    await queue.enqueue("runs")
    await gate.calls(1)
    await quick.calls(1)
    await queue.enqueue_many(["waits", "waits too"])
    await quick.calls(3)
    with pytest.raises(QueueFullError):
        await queue.enqueue("one too many")
    gate.open()
    await settled(queue)
    await still_works(queue, quick)


async def test_a_batch_that_does_not_fit_is_refused_whole(manager_for: ManagerFor) -> None:
    """J8: nothing of that caller's batch is stored, and no other caller's is touched."""
    manager = await manager_for(max_queue_size=5)
    queue = manager.get_queue("small")
    answers = await asyncio.gather(
        queue.enqueue("one"),
        queue.enqueue_many([Enqueue(n, job_id=f"large {n}") for n in range(6)]),
        queue.enqueue_many(["two", "three"]),
        queue.enqueue_many(["four", "five", "six"]),
        queue.enqueue_many([Enqueue("four", job_id="4"), Enqueue("four again", job_id="4")]),
        return_exceptions=True,
    )
    assert [isinstance(answer, QueueFullError) for answer in answers] == [False, True, False, True, False]
    assert sorted(job.data for job in await queue.list_jobs()) == ["four", "one", "three", "two"]
    assert await queue.get_job("large 0") is None
    await queue.enqueue("five")
    with pytest.raises(QueueFullError):
        await queue.enqueue("six")


async def test_retries_and_schedules_never_fail_for_a_full_queue(manager_for: ManagerFor) -> None:
    """J8: their jobs come however full it is."""
    manager = await manager_for(max_queue_size=1)
    queue = manager.get_queue("small")
    gate = Gate()
    seen: list[Any] = []

    async def handler(job: Job[str]) -> None:
        seen.append((job.data, job.attempts))
        if job.data == "retried" and job.attempts == 0:
            await gate(job)
            raise Retry(delay=0)

    await queue.consume(handler, consumer_group="g", concurrency=1)
    await queue.enqueue("retried")
    await gate.calls(1)
    await queue.enqueue("fills it")
    with pytest.raises(QueueFullError):
        await queue.enqueue("one too many")
    await queue.schedule_recurring("s", "scheduled", interval_seconds=3600)
    gate.open()
    await wait_until(lambda: ("scheduled", 0) in seen, description="the schedule's job has run")
    await settled(queue)
    assert {data for data, _ in seen} == {"retried", "fills it", "scheduled"}
    assert ("retried", 1) in seen


async def test_memory_is_bounded_by_default_and_others_are_not(manager_for: ManagerFor) -> None:
    """J8: memory holds 10,000 jobs by default; others are unlimited."""
    manager = await manager_for()
    queue = manager.get_queue("default")
    for _ in range(10):
        await queue.enqueue_many(range(1000))
    if manager.get_active_plugin() == "memory":
        with pytest.raises(QueueFullError, match="max: 10000"):
            await queue.enqueue(1)
    else:
        await queue.enqueue(1)


async def test_stale_news_is_dropped(manager_for: ManagerFor) -> None:
    """J9: what has not started `expires_in` seconds after its enqueue is dropped, and counted."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock, concurrency=1)
    queue = manager.get_queue("news")
    gate = Gate()
    await queue.consume(gate, consumer_group="g")
    await queue.enqueue("blocks", expires_in=1)
    await gate.calls(1)
    await queue.enqueue("stale", job_id="stale", expires_in=10)
    await queue.enqueue("fresh", expires_in=timedelta(seconds=12))
    clock.advance(10)
    assert await queue.get_job("stale") is None
    assert (await queue.enqueue("stale no more", job_id="stale")).created
    gate.open()
    await settled(queue)
    assert gate.data == ["blocks", "fresh", "stale no more"]
    stats = await queue.get_stats()
    assert (stats.expired, stats.completed) == (1, 3)


async def test_delayed_and_unclaimed_news_expires_too(manager_for: ManagerFor) -> None:
    """J9: counted from the enqueue, whether it waits for its start or for a group."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("news")
    await queue.enqueue("delayed", start_delay=5, expires_in=5.001)
    await queue.enqueue("unclaimed", expires_in=6)
    await queue.enqueue("stays")
    clock.advance(7)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await settled(queue)
    assert recorder.data == ["stays"]
    assert (await queue.get_stats()).expired == 2


async def test_a_retry_never_expires(manager_for: ManagerFor) -> None:
    """J9: it has started."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("news")
    attempts: list[int] = []

    async def handler(job: Job[Any]) -> None:
        attempts.append(job.attempts)
        if job.attempts == 0:
            clock.advance(60)
            raise Retry(delay=0)

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue(1, expires_in=1)
    await settled(queue)
    assert attempts == [0, 1]
    assert (await queue.get_stats()).expired == 0


@pytest.mark.parametrize(
    ("expires_in", "start_delay"),
    [(0, 0), (1, 1), (1, 2), (timedelta(seconds=1), timedelta(seconds=1)), (0.001, timedelta(days=1))],
    ids=excerpt,
)
async def test_news_that_could_never_start_is_refused(
    manager_for: ManagerFor, expires_in: Any, start_delay: Any
) -> None:
    """J9: `expires_in` ≤ `start_delay` is an `InvalidArgumentError`."""
    manager = await manager_for()
    queue = manager.get_queue("news")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    with pytest.raises(InvalidArgumentError, match="expires_in"):
        await queue.enqueue(1, expires_in=expires_in, start_delay=start_delay)
    with pytest.raises(InvalidArgumentError, match="expires_in"):
        await queue.enqueue_many([1, Enqueue(2, expires_in=expires_in)], start_delay=start_delay)
    await still_works(queue, recorder)
    assert len(recorder.jobs) == 1
