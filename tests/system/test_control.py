"""Pausing, cancelling, and seeing whether a worker lives (L9 to L12)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from checkmate_queue import (
    CancelResult,
    ConfigError,
    Exponential,
    Fixed,
    Job,
    JobCancelled,
    JobRetried,
    QueueManager,
    Retry,
)
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works, travel
from tests.system.storages import Link, ManagerFor, Storage


async def test_a_pause_holds_for_every_process(manager_for: ManagerFor) -> None:
    """L11: nothing is claimed, running deliveries finish, jobs are accepted; a resume is noticed at once."""
    managers = [await manager_for(link=Link()) for _ in range(2)]
    queues = [manager.get_queue("paused") for manager in managers]
    gate, other = Gate(), Recorder()
    await queues[0].consume(gate, consumer_group="g", concurrency=1)
    await queues[1].consume(other, consumer_group="h")
    await queues[0].enqueue("runs")
    await gate.calls(1)
    await other.calls(1)
    for _ in range(2):
        await queues[1].pause()
    await queues[0].enqueue_many(["waits", "waits too"])
    gate.open()

    async def finished() -> bool:
        return (await queues[0].get_stats()).processing == 0

    await wait_until(finished, description="what ran has finished", timeout=PATIENCE)
    for queue in queues:
        queue.work_came()
    late = Recorder()
    await queues[0].consume(late, consumer_group="h")
    stats = await queues[0].get_stats()
    assert (stats.pending, stats.completed) == (4, 2)
    assert late.jobs == []
    await queues[0].resume()
    await settled(queues[0])
    assert gate.data == ["runs", "waits", "waits too"]
    await still_works(queues[0], gate)


async def test_time_goes_on_during_a_pause(manager_for: ManagerFor) -> None:
    """L11: jobs become ready and expire, and schedules go on without piling up."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("paused")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await queue.pause()
    await queue.enqueue("delayed", start_delay=5)
    await queue.enqueue("expires", expires_in=5)
    await queue.schedule_recurring("s", "scheduled", interval_seconds=10, start_delay=10)

    async def caught_up() -> bool:
        details = await queue.get_recurring_job_details("s")
        assert details is not None and details.next_run_at is not None
        return details.next_run_at.timestamp() * 1000 > clock()

    for _ in range(5):
        travel(clock, queue, 10)
        await wait_until(caught_up, description="the schedule goes on", timeout=PATIENCE)
        assert sorted(job.data for job in await queue.list_jobs("pending")) == ["delayed", "scheduled"]
    assert recorder.jobs == []
    assert (await queue.get_stats()).expired == 1
    await queue.resume()
    await settled(queue)
    assert sorted(recorder.data) == ["delayed", "scheduled"]


async def test_a_pause_outlives_its_process(manager_for: ManagerFor) -> None:
    """L11: it is stored in the backend."""
    first = await manager_for(link=Link())
    await first.get_queue("paused").pause()
    await first.shutdown()
    second = await manager_for(link=Link())
    queue = second.get_queue("paused")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await queue.enqueue(1)
    queue.work_came()
    assert (await queue.get_stats()).pending == 1
    await queue.resume()
    await recorder.calls(1)


@pytest.mark.parametrize("state", ["delayed", "unclaimed", "pending", "retrying"])
async def test_what_waits_is_cancelled(manager_for: ManagerFor, state: str) -> None:
    """L12: in every group, and its id is free."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("cancel")
    gate = Gate()
    ran: list[Any] = []

    async def handler(job: Job[str]) -> None:
        if job.data == "blocks":
            return await gate(job)
        ran.append(job.data)
        raise Retry(600)

    groups = [] if state == "unclaimed" else ["g", "h"]
    for group in groups:
        await queue.consume(handler, consumer_group=group)
    if state == "pending":
        await queue.enqueue("blocks")
        await gate.calls(2)
    await queue.enqueue("job", job_id="job", start_delay=600 if state == "delayed" else 0)

    async def reached() -> bool:
        details = await queue.get_job("job")
        return details is not None and {details.state, *details.groups.values()} == {state}

    await wait_until(reached, description=f"the job is {state}", timeout=PATIENCE)
    expected = len(groups) if state in ("pending", "retrying") else 1
    assert await queue.cancel("job") == CancelResult(expected, 0)
    assert not await queue.cancel("job")
    assert await queue.get_job("job") is None
    assert (await queue.get_stats()).cancelled == expected
    assert (await queue.enqueue("new", job_id="job", start_delay=600)).created
    gate.open()


async def test_what_runs_is_told_soon(manager_for: ManagerFor) -> None:
    """L12: also in another process; it ends as cancelled, and is not retried."""
    managers = [await manager_for(link=Link(), lease_seconds=3) for _ in range(2)]
    queues = [manager.get_queue("cancel") for manager in managers]
    events: list[JobCancelled] = []
    managers[0].on(JobCancelled, events.append)
    gate = Gate()
    await queues[0].consume(gate, consumer_group="g", max_retries=5, concurrency=1)
    await queues[0].enqueue("job", job_id="job")
    await gate.calls(1)
    result = await queues[1].cancel("job")
    assert (result, bool(result)) == (CancelResult(0, 1), True)
    await settled(queues[1])
    assert gate.cancelled == 1
    assert gate.jobs[0].cancelled
    assert events == [JobCancelled("cancel", "job", "g")]
    stats = await queues[1].get_stats()
    assert (stats.cancelled, stats.completed, stats.failed) == (1, 0, 0)
    assert await queues[0].list_failed() == []
    gate.open()
    await still_works(queues[0], gate)


@pytest.mark.parametrize("end", ["returns", "fails", "swallows"])
async def test_a_cancelled_one_ends_as_cancelled_however_it_ends(manager_for: ManagerFor, end: str) -> None:
    """L12: whatever the handler does with the cancellation."""
    manager = await manager_for(lease_seconds=1)
    queue = manager.get_queue("cancel")
    started = asyncio.Event()
    ended = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if end == "returns":
                return
            if end == "fails":
                raise ValueError from None
            await ended.wait()

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue(1, job_id="job")
    await asyncio.wait_for(started.wait(), PATIENCE)
    assert (await queue.cancel("job")).signalled == 1
    ended.set()
    await settled(queue)
    stats = await queue.get_stats()
    assert (stats.cancelled, stats.completed, stats.failed) == (1, 0, 0)
    assert (await queue.enqueue(2, job_id="job", start_delay=600)).created


async def test_running_and_waiting_groups_at_once(manager_for: ManagerFor) -> None:
    """L12: the result says what was done in each."""
    manager = await manager_for()
    queue = manager.get_queue("cancel")
    gate = Gate()
    await queue.consume(gate, consumer_group="runs")
    waiting = await queue.consume(Recorder(), consumer_group="waits")
    await waiting.stop()
    await queue.enqueue(1, job_id="job")
    await gate.calls(1)
    assert await queue.cancel("job") == CancelResult(removed=1, signalled=1)
    assert await queue.cancel("unknown") == CancelResult(0, 0)
    await settled(queue)
    assert (await queue.get_stats()).cancelled == 2


async def test_a_consumer_tells_when_it_had_contact(manager_for: ManagerFor) -> None:
    """L10: an aware time that moves on while the backend answers, and stands still while it does not."""
    link = Link()
    manager = await manager_for(link=link, lease_seconds=1)
    queue = manager.get_queue("contact")
    before = datetime.now(UTC)
    consumer = await queue.consume(Recorder(), consumer_group="g")
    first = consumer.last_contact_at
    assert first is not None
    assert before <= first <= datetime.now(UTC)

    def moved(since: datetime) -> bool:
        return consumer.last_contact_at is not None and consumer.last_contact_at > since

    await wait_until(lambda: moved(first), description="the idle worker had contact", timeout=PATIENCE)
    link.cut()
    refused = link.refused
    await wait_until(lambda: link.refused > refused + 3, description="it tries in vain", timeout=PATIENCE)
    cut = consumer.last_contact_at
    assert cut is not None
    await wait_until(lambda: link.refused > refused + 6, description="it tries in vain", timeout=PATIENCE)
    assert consumer.last_contact_at == cut
    link.mend()
    await wait_until(lambda: moved(cut), description="it had contact again", timeout=PATIENCE)


@pytest.mark.parametrize("multiplier", [0.01, 10])
async def test_a_multiplier_scales_what_tests_wait_for(
    manager_for: ManagerFor, storage: Storage, multiplier: float
) -> None:
    """L9: start delays, backoff, `Retry` and intervals; details show unscaled values; others refuse it."""
    if storage.kind in ("redis", "postgres"):
        with pytest.raises(ConfigError, match="no setting 'delay_multiplier'"):
            await manager_for(delay_multiplier=multiplier)
        return
    clock = TravellingClock()
    manager = await manager_for(clock=clock, delay_multiplier=multiplier)
    queue = manager.get_queue("scaled")
    retried: list[JobRetried] = []
    manager.on(JobRetried, retried.append)

    async def fails(job: Job[Any]) -> None:
        raise Retry(delay=50) if job.data == "retry" else ValueError

    for name, backoff in {"default": None, "fixed": Fixed(7), "exponential": Exponential(3)}.items():
        each = manager.get_queue(name)
        await each.consume(fails, consumer_group="g", backoff=backoff)
        await each.enqueue("fails")
        await settled(each, delayed=1)
    own = manager.get_queue("own")
    await own.consume(fails, consumer_group="g", backoff=lambda *_: 100)
    await own.enqueue_many(["fails", "retry"])
    await settled(own, delayed=2)
    delays = {(event.queue, round(event.delay_seconds, 3)) for event in retried}
    assert delays == {
        ("default", 2 * multiplier),
        ("fixed", 7 * multiplier),
        ("exponential", 3 * multiplier),
        ("own", 100),
        ("own", 50 * multiplier),
    }
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await queue.enqueue("delayed", start_delay=100)
    await queue.schedule_recurring("s", "scheduled", interval_seconds=60, start_delay=200)
    details = await queue.get_recurring_job_details("s")
    assert details is not None
    assert details.interval_seconds == 60
    travel(clock, queue, 100 * multiplier)
    await recorder.calls(1)
    travel(clock, queue, 100 * multiplier)
    await recorder.calls(2)
    travel(clock, queue, 60 * multiplier)
    await recorder.calls(3)
    assert recorder.data == ["delayed", "scheduled", "scheduled"]


@pytest.mark.parametrize("multiplier", [0, -1, float("nan"), float("inf"), "fast"])
def test_a_wrong_multiplier_is_refused(multiplier: Any) -> None:
    """L9, L7: with `ConfigError`."""
    with pytest.raises(ConfigError, match="delay_multiplier"):
        QueueManager("memory://", delay_multiplier=multiplier)
