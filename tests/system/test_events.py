"""Events (section 1)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from checkmate_queue import (
    Discard,
    Event,
    Job,
    JobCompleted,
    JobEnqueued,
    JobFailed,
    JobRetried,
    JobStarted,
    Retry,
)
from checkmate_queue.runtime import events as events_module
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Recorder, settled, still_works
from tests.system.storages import ManagerFor


async def test_the_life_of_a_job_is_told(manager_for: ManagerFor) -> None:
    """Section 1: each event with its queue, job, group and what belongs to it."""
    manager = await manager_for()
    events: list[Event] = []
    for kind in (JobEnqueued, JobStarted, JobCompleted, JobRetried, JobFailed):
        manager.on(kind, events.append)
    queue = manager.get_queue("told")
    error = ValueError("once")

    async def handler(job: Job[str]) -> None:
        if job.data == "fails":
            raise Discard("never")
        if job.attempts == 0:
            raise error

    await queue.consume(handler, consumer_group="g", backoff=lambda *_: 0)
    await queue.enqueue("retries", job_id="r")
    await settled(queue)
    await queue.enqueue("fails", job_id="f")
    await settled(queue)
    assert [(type(event).__name__, event.queue) for event in events] == [
        ("JobEnqueued", "told"),
        ("JobStarted", "told"),
        ("JobRetried", "told"),
        ("JobStarted", "told"),
        ("JobCompleted", "told"),
        ("JobEnqueued", "told"),
        ("JobStarted", "told"),
        ("JobFailed", "told"),
    ]
    enqueued, started, retried, again, completed, _, _, failed = events
    assert isinstance(enqueued, JobEnqueued) and enqueued.created
    assert isinstance(started, JobStarted) and (started.job_id, started.consumer_group) == ("r", "g")
    assert isinstance(again, JobStarted) and (started.attempts, again.attempts) == (0, 1)
    assert isinstance(retried, JobRetried)
    assert (retried.attempts, retried.delay_seconds, retried.error) == (1, 0, error)
    assert isinstance(completed, JobCompleted) and completed.seconds >= 0
    assert isinstance(failed, JobFailed)
    assert (failed.job_id, failed.error_type, failed.message) == ("f", "Discard", "never")


async def test_callbacks_may_be_async_and_many(manager_for: ManagerFor) -> None:
    """Section 1: plain and async ones; a shutdown waits for those under way."""
    manager = await manager_for()
    seen: list[str] = []

    async def later(event: JobEnqueued) -> None:
        await asyncio.sleep(0)
        seen.append(f"async {event.job_id}")

    manager.on(JobEnqueued, later)
    manager.on(JobEnqueued, lambda event: seen.append(f"plain {event.job_id}"))
    await manager.get_queue("q").enqueue(1, job_id="x")
    await manager.shutdown()
    assert seen == ["plain x", "async x"]


async def test_callbacks_that_fail_are_logged(
    manager_for: ManagerFor, caplog: pytest.LogCaptureFixture
) -> None:
    """Section 1: and nothing else is affected, neither others nor the job."""
    manager = await manager_for()
    seen: list[str] = []

    def fails(event: Event) -> None:
        raise RuntimeError("plain callback")

    async def fails_later(event: Event) -> None:
        raise RuntimeError("async callback")

    for kind in (JobEnqueued, JobStarted, JobCompleted):
        manager.on(kind, fails)
        manager.on(kind, fails_later)
        manager.on(kind, lambda event: seen.append(type(event).__name__))
    queue = manager.get_queue("q")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder)
    await settled(queue)
    assert (await queue.get_stats()).completed == 1
    await manager.shutdown()
    assert seen == ["JobEnqueued", "JobStarted", "JobCompleted"]
    texts = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert (texts.count("plain callback"), texts.count("async callback")) == (3, 3)


async def test_a_callback_may_use_the_queue(manager_for: ManagerFor) -> None:
    """Section 1: to enqueue what follows, for example."""
    manager = await manager_for()
    queue, after = manager.get_queue("first"), manager.get_queue("second")
    recorder = Recorder()

    async def follow(event: JobCompleted) -> None:
        if event.queue == "first":
            await after.enqueue(event.job_id)

    manager.on(JobCompleted, follow)
    await after.consume(recorder, consumer_group="g")
    await queue.consume(Recorder(), consumer_group="g")
    await queue.enqueue(1, job_id="x")
    await recorder.calls(1)
    assert recorder.data == ["x"]


async def test_a_callback_that_never_ends(manager_for: ManagerFor, monkeypatch: pytest.MonkeyPatch) -> None:
    """L1: does not keep a shutdown from ending."""
    monkeypatch.setattr(events_module, "CALLBACK_PATIENCE", 0.05)
    manager = await manager_for()
    cancelled: list[bool] = []

    async def hang(event: Event) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    manager.on(JobEnqueued, hang)
    await manager.get_queue("q").enqueue(1)
    await manager.shutdown()
    assert cancelled == [True]


async def test_failures_are_logged_for_people(
    manager_for: ManagerFor, caplog: pytest.LogCaptureFixture
) -> None:
    """Section 1, F4: a final failure is an error that names queue, group, job and reason."""
    manager = await manager_for()
    queue = manager.get_queue("logged")

    async def handler(job: Job[Any]) -> None:
        if job.attempts == 0:
            raise Retry(delay=0)
        raise ValueError("no such\nhost")

    await queue.consume(handler, consumer_group="g", max_retries=1)
    await queue.enqueue(1, job_id="job 7")
    with caplog.at_level(logging.INFO):
        await settled(queue)
    await wait_until(lambda: caplog.records, description="something was logged", timeout=PATIENCE)
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    for part in ("logged", "g", "job 7", "ValueError", "no such"):
        assert part in record.getMessage()
