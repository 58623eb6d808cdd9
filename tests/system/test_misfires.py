"""What becomes of due times that were missed or overtaken (R5, R6), and where schedules live (R8)."""

from __future__ import annotations

from typing import Any

import pytest

from checkmate_queue import Job
from checkmate_queue.testing.clock import START, TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, travel
from tests.system.storages import Link, ManagerFor


def due_times(recorder: Recorder) -> list[float]:
    """When the occurrences were due, in seconds since the clock began, by their ids."""
    return [(int(job_id.rsplit(":", 1)[1]) - START) / 1000 for job_id in recorder.ids]


@pytest.mark.parametrize(
    ("misfire", "expected"),
    [("coalesce", [300]), ("skip", []), ("all", [0, 60, 120, 180, 240, 300])],
)
async def test_after_a_time_without_workers(
    manager_for: ManagerFor, misfire: Any, expected: list[float]
) -> None:
    """R5: one run for all that was missed; none; or one for each. Then the grid again."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock, concurrency=1)
    queue = manager.get_queue("missed")
    await queue.schedule_recurring("s", 1, interval_seconds=60, misfire=misfire)
    clock.advance(330)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(len(expected))
    travel(clock, queue, 30)
    await recorder.calls(len(expected) + 1)
    await settled(queue)
    assert due_times(recorder) == [*expected, 360]


async def test_a_due_time_that_has_just_passed_is_not_missed(manager_for: ManagerFor) -> None:
    """R5: with "skip", one that is up to 5 s late runs."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("missed")
    await queue.schedule_recurring("s", 1, interval_seconds=60, misfire="skip")
    clock.advance(64)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(1)
    assert due_times(recorder) == [60]


async def test_all_has_a_bound(manager_for: ManagerFor) -> None:
    """R5: at most the latest 1,000 for one gap."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock, concurrency=1)
    queue = manager.get_queue("missed")
    await queue.schedule_recurring("s", 1, interval_seconds=1, misfire="all")
    clock.advance(5000)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(1000)
    await settled(queue)
    assert due_times(recorder) == list(range(4001, 5001))


async def test_schedules_never_pile_up(manager_for: ManagerFor) -> None:
    """R5, R6: a due time is not delivered to a group whose previous one waits; other groups get it."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("busy")
    slow, quick = Gate(), Recorder()
    await queue.consume(slow, consumer_group="slow", concurrency=1)
    await queue.consume(quick, consumer_group="quick")
    await queue.schedule_recurring("s", 1, interval_seconds=10)
    await slow.calls(1)
    for count in range(2, 6):
        travel(clock, queue, 10)
        await quick.calls(count)
    assert (await queue.get_stats()).groups["slow"].pending == 1
    slow.open()
    await settled(queue)
    assert due_times(slow) == [0, 10]
    assert due_times(quick) == [0, 10, 20, 30, 40]


async def test_without_overlap_a_run_waits_for_the_one_before(manager_for: ManagerFor) -> None:
    """R6: while one exists, running or waiting for a retry, no other is delivered to that group."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("busy")
    gate, quick = Gate(), Recorder()
    failing = True

    async def handler(job: Job[Any]) -> None:
        await gate(job)
        if failing:
            raise ValueError

    await queue.consume(handler, consumer_group="slow", max_retries=1, backoff=lambda *_: 25)
    await queue.consume(quick, consumer_group="quick")
    await queue.schedule_recurring("s", 1, interval_seconds=10, overlap=False)
    await gate.calls(1)
    for count in range(2, 5):
        travel(clock, queue, 10)
        await quick.calls(count)
    gate.open()

    async def retries() -> bool:
        return (await queue.get_stats()).groups["slow"].delayed == 1

    await wait_until(retries, description="it waits for its retry", timeout=PATIENCE)
    travel(clock, queue, 10)
    await quick.calls(5)
    failing = False
    travel(clock, queue, 15)
    await quick.calls(6)
    await settled(queue)
    assert due_times(gate)[:2] == [0, 0]
    assert [job.attempts for job in gate.jobs[:2]] == [0, 1]
    travel(clock, queue, 10)
    await quick.calls(7)
    await settled(queue)
    assert due_times(gate)[2:] in ([60], [50, 60])


async def test_without_groups_one_run_waits(manager_for: ManagerFor) -> None:
    """R5: where the previous job is unclaimed, no job is made."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue, ticker = manager.get_queue("nobody"), Recorder()
    consumer = await queue.consume(ticker, consumer_group="e", ephemeral=True)
    await queue.schedule_recurring("s", 1, interval_seconds=10)
    await ticker.calls(1)
    await consumer.stop()
    for _ in range(3):
        clock.advance(10)
    late = Recorder()
    await queue.consume(late, consumer_group="durable")
    await late.calls(1)
    await settled(queue)
    assert due_times(late) == [30]


async def test_schedules_are_as_durable_as_jobs(manager_for: ManagerFor) -> None:
    """R8: another process goes on with them, on the same grid."""
    clock = TravellingClock()
    first = await manager_for(link=Link(), clock=clock)
    second = await manager_for(link=Link(), clock=clock)
    queue = first.get_queue("durable")
    await queue.schedule_recurring("s", {"kept": True}, interval_seconds=60)
    one = Recorder()
    await queue.consume(one, consumer_group="g")
    await one.calls(1)
    await first.shutdown()
    clock.advance(50)
    again = second.get_queue("durable")
    two = Recorder()
    await again.consume(two, consumer_group="g")
    travel(clock, again, 10)
    await two.calls(1)
    assert (due_times(one), due_times(two)) == ([0], [60])
    assert two.data == [{"kept": True}]
