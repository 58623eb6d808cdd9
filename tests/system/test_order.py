"""Which job starts next (J4, J5, J6)."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkmate_queue import Enqueue, InvalidArgumentError, Job, Retry
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.clock import TravellingClock
from tests.system.handlers import Recorder, at_rest, settled, still_works
from tests.system.storages import ManagerFor


async def test_higher_priorities_start_first(manager_for: ManagerFor) -> None:
    """J4, J5: higher first, negative ones last, and among equals in the order of enqueue."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("order")
    priorities = [0, 5, -1, 5, 2**31 - 1, 0, -(2**31), 100, 0]
    for index, priority in enumerate(priorities):
        await queue.enqueue([index], priority=priority)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(len(priorities))
    expected = sorted(range(len(priorities)), key=lambda index: (-priorities[index], index))
    assert [data[0] for data in recorder.data] == expected
    assert [job.priority for job in recorder.jobs] == sorted(priorities, reverse=True)


async def test_the_order_of_many_jobs(manager_for: ManagerFor) -> None:
    """J5: it holds over batches and claims of many at a time."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("many")
    chance = random.Random(7)
    jobs = [Enqueue(index, priority=chance.randint(-2, 2)) for index in range(300)]
    for start in range(0, 300, 50):
        await queue.enqueue_many(jobs[start : start + 50])
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(300)
    assert recorder.data == [job.data for job in sorted(jobs, key=lambda job: -(job.priority or 0))]


async def test_a_higher_job_overtakes_while_the_worker_is_busy(manager_for: ManagerFor) -> None:
    """J5: whenever a slot frees, the highest ready job starts, whatever was enqueued before."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("overtaking")
    order: list[str] = []

    async def handler(job: Job[str]) -> None:
        order.append(job.data)
        if job.data == "first":
            await queue.enqueue("urgent", priority=10)

    for data in ("first", "second", "third"):
        await queue.enqueue(data)
    await queue.consume(handler, consumer_group="g")
    await settled(queue)
    assert order == ["first", "urgent", "second", "third"]


async def test_due_jobs_are_ready_at_the_next_claim(manager_for: ManagerFor) -> None:
    """J5: a busy worker never starts a lower job while a higher one is due; due order among equals."""
    clock = TravellingClock()
    manager = await manager_for(concurrency=1, clock=clock)
    queue = manager.get_queue("due")
    order: list[str] = []

    async def handler(job: Job[str]) -> None:
        order.append(job.data)
        if job.data == "first":
            clock.advance(5)

    await queue.enqueue("delayed, due later", start_delay=4, priority=1)
    await queue.enqueue("delayed, due earlier", start_delay=3, priority=1)
    await queue.enqueue("not due", start_delay=3600, priority=1)
    for data in ("first", "second"):
        await queue.enqueue(data)
    await queue.consume(handler, consumer_group="g")
    await settled(queue, delayed=1)
    assert order == ["first", "delayed, due earlier", "delayed, due later", "second"]


async def test_a_retry_goes_in_due_order(manager_for: ManagerFor) -> None:
    """J5: a retried delivery becomes ready when it is due, behind what was ready before it."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("retries")
    order: list[Any] = []

    async def handler(job: Job[str]) -> None:
        order.append((job.data, job.attempts))
        if job.attempts == 0 and job.data == "a":
            raise Retry(delay=0)

    await queue.enqueue_many(["a", "b", "c"])
    await queue.consume(handler, consumer_group="g")
    await settled(queue)
    assert order == [("a", 0), ("b", 0), ("c", 0), ("a", 1)]


@pytest.mark.parametrize("delay", [0.15, timedelta(milliseconds=150), 0.1504])
async def test_a_delayed_job_never_starts_early(manager_for: ManagerFor, delay: Any) -> None:
    """J6: seconds or a `timedelta`; it waits as `delayed`, and starts when the time has come."""
    manager = await manager_for()
    queue = manager.get_queue("delays")
    started: list[float] = []
    await queue.consume(lambda job: started.append(time.time()), consumer_group="g")
    before = time.time()
    job_id = await queue.enqueue(1, start_delay=delay)
    details = await queue.get_job(job_id)
    assert details is None or details.state in ("delayed", "processing")
    await settled(queue)
    span = delay.total_seconds() if isinstance(delay, timedelta) else delay
    # Engines keep whole milliseconds.
    assert started[0] - before >= span - 0.001


async def test_a_start_delay_of_days(manager_for: ManagerFor) -> None:
    """J6: long ones as well, up to 100 years."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("delays")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await queue.enqueue("in 30 days", start_delay=timedelta(days=30))
    await queue.enqueue("in 100 years", start_delay=timedelta(days=36_525))
    assert (await queue.get_stats()).delayed == 2
    clock.advance(timedelta(days=30) - timedelta(milliseconds=1))
    await still_works(queue, recorder)
    assert recorder.data == ["still works"]
    await at_rest(queue)
    clock.advance(0.001)
    await queue.enqueue("another", priority=-1)
    await recorder.calls(3)
    assert recorder.data == ["still works", "in 30 days", "another"]
    assert recorder.jobs[0].timestamp == datetime.fromtimestamp((clock() - 1) / 1000, UTC)


WRONG_DELAYS: list[Any] = [
    -1,
    -0.001,
    float("nan"),
    float("inf"),
    float("-inf"),
    timedelta(seconds=-1),
    timedelta.max,
    1e18,
    10**400,
    "1",
    None,
    True,
    [],
    1j,
]


@pytest.mark.parametrize("delay", WRONG_DELAYS, ids=excerpt)
async def test_a_wrong_delay_is_refused(manager_for: ManagerFor, delay: Any) -> None:
    """J6: negative, NaN and infinite delays, and what is no time, raise `InvalidArgumentError`."""
    manager = await manager_for()
    queue = manager.get_queue("delays")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    with pytest.raises(InvalidArgumentError, match="start_delay"):
        await queue.enqueue(1, start_delay=delay)
    with pytest.raises(InvalidArgumentError, match="start_delay"):
        await queue.schedule_recurring("s", 1, interval_seconds=1, start_delay=delay)
    if delay is not None:
        with pytest.raises(InvalidArgumentError, match="expires_in"):
            await queue.enqueue(1, expires_in=delay)
        with pytest.raises(InvalidArgumentError, match="start_delay"):
            await queue.enqueue_many([1, Enqueue(2, start_delay=delay)])
    await still_works(queue, recorder)
    assert len(recorder.jobs) == 1


@pytest.mark.parametrize(
    "priority", [2**31, -(2**31) - 1, 10**30, 1.0, 0.5, "1", None, True, []], ids=excerpt
)
async def test_a_wrong_priority_is_refused(manager_for: ManagerFor, priority: Any) -> None:
    """J4: what is no int of 32 bits raises `InvalidArgumentError`."""
    manager = await manager_for()
    queue = manager.get_queue("priorities")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    with pytest.raises(InvalidArgumentError, match="priority"):
        await queue.enqueue(1, priority=priority)
    with pytest.raises(InvalidArgumentError, match="priority"):
        await queue.schedule_recurring("s", 1, interval_seconds=1, priority=priority)
    if priority is not None:
        with pytest.raises(InvalidArgumentError, match="priority"):
            await queue.enqueue_many([1, Enqueue(2, priority=priority)])
    await still_works(queue, recorder)
    assert len(recorder.jobs) == 1
