"""Failure and retry (F1 to F5)."""

from __future__ import annotations

import asyncio
import concurrent.futures
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkmate_queue import (
    Discard,
    Exponential,
    Fixed,
    InvalidArgumentError,
    Job,
    JobFailed,
    JobRetried,
    Queue,
    Retry,
)
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import Recorder, settled, still_works, travel
from tests.system.storages import ManagerFor


def at_once(*_: object) -> float:
    """A backoff without a wait."""
    return 0


async def pass_retries(
    clock: TravellingClock, queue: Queue[Any], retried: list[JobRetried], count: int
) -> None:
    """Let the time of each retry come, until so many have run."""
    for number in range(count):
        await wait_until(lambda: len(retried) > number, description="the attempt failed")  # noqa: B023
        if delay := retried[number].delay_seconds:
            await settled(queue, delayed=1)
            travel(clock, queue, delay)
    await settled(queue)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Odd(BaseException):
    pass


ERRORS: list[BaseException] = [
    ValueError("plain"),
    SystemExit(3),
    KeyboardInterrupt(),
    asyncio.CancelledError("made up"),
    concurrent.futures.CancelledError(),
    GeneratorExit(),
    StopIteration(1),
    StopAsyncIteration(),
    TimeoutError(),
    ExceptionGroup("many", [ValueError(1), KeyError(2)]),
    BaseExceptionGroup("many", [SystemExit(1)]),
    Unprintable(),
    Odd("\ud800 \x00 lone and control"),
    MemoryError(),
    RecursionError("x" * 100_000),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
async def test_the_worker_survives_whatever_a_handler_raises(
    manager_for: ManagerFor, error: BaseException, plain: bool
) -> None:
    """F1, F5: it is a failed attempt, tried again, and kept as failed in the end; others go on."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("failing")
    recorder = Recorder()
    attempts: list[int] = []

    def raise_it(job: Job[Any]) -> None:
        if job.data == "fails":
            attempts.append(job.attempts)
            raise error
        recorder.jobs.append(job)

    async def handler(job: Job[Any]) -> None:
        raise_it(job)

    await queue.consume(raise_it if plain else handler, consumer_group="g", max_retries=1, backoff=at_once)
    await queue.enqueue("fails")
    await still_works(queue, recorder)
    await settled(queue)
    assert attempts == [0, 1]
    [entry] = await queue.list_failed()
    assert (entry.data, entry.attempts, entry.consumer_group) == ("fails", 2, "g")
    expected = "RuntimeError" if isinstance(error, StopIteration) and not plain else type(error).__name__
    assert entry.error_type == expected
    assert "raise_it" in entry.traceback
    assert len(entry.message) <= 10_010


async def test_what_a_handler_raises_forges_no_line_of_the_log(
    manager_for: ManagerFor, caplog: pytest.LogCaptureFixture
) -> None:
    """Text from a payload reads as text, in one line."""
    manager = await manager_for()
    queue = manager.get_queue("forged")

    async def fail(job: Job[str]) -> None:
        raise Discard(job.data)

    await queue.consume(fail, consumer_group="g")
    await queue.enqueue("\x1b[2Jgone\nERROR all is lost")
    await settled(queue)
    (message,) = [
        record.getMessage() for record in caplog.records if "failed for good" in record.getMessage()
    ]
    assert message.endswith(r"'\x1b[2Jgone\nERROR all is lost'")


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_a_delivery_is_tried_n_plus_one_times(manager_for: ManagerFor, max_retries: int) -> None:
    """F1: in that group alone; `attempts` counts the failed ones before."""
    manager = await manager_for()
    queue = manager.get_queue("failing")
    attempts: list[int] = []
    fine = Recorder()

    async def fails(job: Job[Any]) -> None:
        attempts.append(job.attempts)
        raise ValueError("boom")

    await queue.consume(fails, consumer_group="fails", max_retries=max_retries, backoff=at_once)
    await queue.consume(fine, consumer_group="fine")
    await queue.enqueue(1)
    await settled(queue)
    assert attempts == list(range(max_retries + 1))
    assert fine.data == [1]
    stats = await queue.get_stats()
    assert (stats.groups["fails"].failed, stats.groups["fine"].completed, stats.failed) == (1, 1, 1)


async def test_the_default_backoff_doubles(manager_for: ManagerFor) -> None:
    """F2: 2 s, 4 s, 8 s before the three retries of the default."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("backoff")
    times: list[int] = []
    retried: list[float] = []
    manager.on(JobRetried, lambda event: retried.append(event.delay_seconds))
    ticker = Recorder()

    async def fails(job: Job[Any]) -> None:
        if job.data == "fails":
            times.append(clock())
            raise ValueError
        await ticker(job)

    await queue.consume(fails, consumer_group="g")
    await queue.enqueue("fails")
    await settled(queue, delayed=1)
    for second in range(14):
        clock.advance(1)
        await still_works(queue, ticker, second)
        await settled(queue, delayed=0 if second == 13 else 1)
    assert [(time - times[0]) / 1000 for time in times] == [0, 2, 6, 14]
    assert retried == [2, 4, 8]
    assert len(await queue.list_failed()) == 1


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Fixed(5), [5, 5, 5]),
        (Fixed(0), [0, 0, 0]),
        (Exponential(base=3, cap=10), [3, 9, 10]),
        (lambda retry, error: retry * 100, [100, 200, 300]),
        (lambda retry, error: len(str(error)), [4, 4, 4]),
    ],
    ids=["fixed", "zero", "exponential", "of the number", "of the error"],
)
async def test_backoff_takes_another_policy(
    manager_for: ManagerFor, backoff: Any, delays: list[float]
) -> None:
    """F2: fixed, exponential, or a function of attempt and error."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("backoff")
    retried: list[JobRetried] = []
    manager.on(JobRetried, retried.append)

    async def fails(job: Job[Any]) -> None:
        raise ValueError("boom")

    await queue.consume(fails, consumer_group="g", backoff=backoff)
    await queue.enqueue(1)
    await pass_retries(clock, queue, retried, 3)
    assert [event.delay_seconds for event in retried] == delays


def raises(*_: object) -> float:
    """A backoff that fails."""
    raise ZeroDivisionError


def exits(*_: object) -> float:
    """A backoff that wants to leave."""
    raise SystemExit


@pytest.mark.parametrize(
    "backoff",
    [raises, exits, lambda: 0, lambda *_: "soon", lambda *_: -1, lambda *_: float("nan"), lambda *_: None],
    ids=["raises", "exits", "signature", "text", "negative", "nan", "none"],
)
async def test_a_backoff_that_is_broken_costs_no_job(manager_for: ManagerFor, backoff: Any) -> None:
    """F2, F5: the default's delay takes its place."""
    manager = await manager_for()
    queue = manager.get_queue("backoff")
    retried: list[float] = []
    manager.on(JobRetried, lambda event: retried.append(event.delay_seconds))
    recorder = Recorder()

    async def fails(job: Job[Any]) -> None:
        if job.data == "fails":
            raise ValueError
        await recorder(job)

    await queue.consume(fails, consumer_group="g", backoff=backoff)
    await queue.enqueue("fails", job_id="fails")
    await settled(queue, delayed=1)
    assert retried == [2]
    await still_works(queue, recorder)


async def test_a_handler_chooses_the_delay(manager_for: ManagerFor) -> None:
    """F3: `Retry(delay=…)`, in seconds or as a `timedelta`; it counts as an attempt."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("choices")
    retried: list[JobRetried] = []
    manager.on(JobRetried, retried.append)
    delays: list[Any] = [7, timedelta(minutes=1), None, 0.5]

    async def handler(job: Job[Any]) -> None:
        raise Retry(delay=delays[job.attempts], message="not yet")

    await queue.consume(handler, consumer_group="g", max_retries=3)
    await queue.enqueue(1)
    await pass_retries(clock, queue, retried, 3)
    assert [event.delay_seconds for event in retried] == [7, 60, 8]
    assert [event.attempts for event in retried] == [1, 2, 3]
    [entry] = await queue.list_failed()
    assert (entry.error_type, entry.message, entry.attempts) == ("Retry", "not yet", 4)


async def test_a_handler_discards_at_once(manager_for: ManagerFor) -> None:
    """F3: `Discard(reason)` fails the delivery whatever retries are left."""
    manager = await manager_for(clock=TravellingClock())
    queue = manager.get_queue("choices")
    failed: list[JobFailed] = []
    manager.on(JobFailed, failed.append)

    async def handler(job: Job[Any]) -> None:
        raise Discard("no such customer")

    await queue.consume(handler, consumer_group="g", max_retries=50)
    job_id = await queue.enqueue(1)
    await settled(queue)
    [entry] = await queue.list_failed()
    assert (entry.error_type, entry.message, entry.attempts) == ("Discard", "no such customer", 1)
    [event] = failed
    assert (event.queue, event.job_id, event.consumer_group) == ("choices", job_id, "g")
    assert (event.error_type, event.message) == ("Discard", "no such customer")
    assert entry.failed_at == datetime(2027, 1, 15, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "delay", [-1, float("nan"), float("inf"), "soon", timedelta(seconds=-1)], ids=excerpt
)
def test_a_wrong_delay_of_a_retry(delay: Any) -> None:
    """F3: raises where it is written."""
    with pytest.raises(InvalidArgumentError):
        Retry(delay=delay)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fixed(-1),
        lambda: Fixed(float("nan")),
        lambda: Fixed("1"),  # type: ignore[arg-type]
        lambda: Exponential(base=0),
        lambda: Exponential(cap=-1),
        lambda: Exponential(jitter=2),
    ],
)
def test_wrong_policies(make: Any) -> None:
    """F2: raise where they are written."""
    with pytest.raises(InvalidArgumentError):
        make()


async def test_an_async_handler_that_exceeds_its_timeout(manager_for: ManagerFor) -> None:
    """F1: has failed its attempt; it is cancelled, and may clean up."""
    manager = await manager_for()
    queue = manager.get_queue("timeouts")
    cleaned: list[int] = []

    async def handler(job: Job[Any]) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(job.attempts)
            assert job.cancelled

    await queue.consume(
        handler, consumer_group="g", max_retries=1, timeout=timedelta(milliseconds=50), backoff=at_once
    )
    await queue.enqueue(1)
    await settled(queue)
    assert cleaned == [0, 1]
    [entry] = await queue.list_failed()
    assert (entry.error_type, entry.attempts) == ("TimeoutError", 2)
    assert "0.05 s" in entry.message


async def test_a_timeout_inside_a_handler_is_its_own_affair(manager_for: ManagerFor) -> None:
    """G13, F1: one that it catches is none of the attempt's."""
    manager = await manager_for()
    queue = manager.get_queue("timeouts")
    recorder = Recorder()

    async def handler(job: Job[Any]) -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(3600)
        except TimeoutError:
            await recorder(job)

    await queue.consume(handler, consumer_group="g", timeout=60)
    await queue.enqueue(1)
    await settled(queue)
    assert recorder.data == [1]
    assert (await queue.get_stats()).completed == 1


async def test_a_retry_that_waits_blocks_nothing(manager_for: ManagerFor) -> None:
    """F5: other jobs go on, and no activity makes it run early."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock, concurrency=1)
    queue: Queue[str] = manager.get_queue("waiting")
    recorder = Recorder()

    async def handler(job: Job[str]) -> None:
        await recorder(job)
        if job.data == "retried" and job.attempts == 0:
            raise Retry(delay=60)

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue("retried")
    await queue.enqueue_many(["x"] * 50)
    await settled(queue, delayed=1)
    for change in (queue.pause(), queue.resume(), queue.cancel("unknown")):
        await change
    clock.advance(59.999)
    await still_works(queue, recorder)
    assert recorder.data.count("retried") == 1
    assert (await queue.get_stats()).groups["g"].delayed == 1
    clock.advance(0.001)
    await queue.enqueue("x")
    await settled(queue)
    assert recorder.data.count("retried") == 2
