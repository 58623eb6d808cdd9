"""The end of queues, consumers and managers (L1)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from checkmate_queue import (
    Job,
    JobCompleted,
    JobFailed,
    Queue,
    QueueManager,
    QueueStoppedError,
)
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, still_works
from tests.system.storages import ManagerFor, Storage


async def test_a_stop_waits_for_what_runs_and_settles_it(manager_for: ManagerFor) -> None:
    """L1: it takes nothing new; what waits stays for others."""
    manager = await manager_for()
    queue = manager.get_queue("ending")
    gate = Gate()
    await queue.consume(gate, consumer_group="g", concurrency=2)
    await queue.enqueue_many(range(5))
    await gate.calls(2)
    stopping = asyncio.create_task(queue.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.open()
    await stopping
    assert gate.data == [0, 1]
    stats = await manager.get_queue("ending").get_stats()
    assert (stats.completed, stats.processing, stats.pending) == (2, 0, 3)


async def test_with_a_timeout_the_rest_is_given_back(manager_for: ManagerFor) -> None:
    """L1: cancelled, and back to the front in the order of their claims, no attempt counted."""
    manager = await manager_for()
    queue = manager.get_queue("ending")
    gate = Gate()
    await queue.consume(gate, consumer_group="g", concurrency=3, max_retries=0)
    await queue.enqueue_many(range(3))
    await gate.calls(3)
    await queue.enqueue("behind them")
    await queue.stop(timeout=0.05)
    assert gate.cancelled == 3
    assert all(job.cancelled for job in gate.jobs)
    fresh = manager.get_queue("ending")
    recorder = Recorder()
    await fresh.consume(recorder, consumer_group="g", concurrency=1)
    await recorder.calls(4)
    assert recorder.data == [0, 1, 2, "behind them"]
    assert [job.attempts for job in recorder.jobs] == [0] * 4


async def test_a_handler_that_finishes_in_time_is_done(manager_for: ManagerFor) -> None:
    """L1: what ends as it is cancelled has ended; what fails then, or won't be cancelled, is given back."""
    manager = await manager_for()
    queue = manager.get_queue("ending")
    started = asyncio.Event()
    stubborn = asyncio.Event()

    async def handler(job: Job[str]) -> None:
        started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if job.data == "finishes":
                return
            if job.data == "fails":
                raise ValueError from None
            await stubborn.wait()

    await queue.consume(handler, consumer_group="g", max_retries=0)
    await queue.enqueue_many(["finishes", "fails", "stubborn"])

    async def all_run() -> bool:
        return await queue.get_in_flight_count() == 3

    await wait_until(all_run, description="all run", timeout=PATIENCE)
    await queue.stop(timeout=0)
    stats = await queue.get_stats()
    assert (stats.completed, stats.failed, stats.processing, stats.pending) == (1, 0, 0, 2)
    stubborn.set()


@pytest.mark.parametrize("timeout", [None, 0, 5])
async def test_stopping_twice_or_more(manager_for: ManagerFor, timeout: float | None) -> None:
    """L1: in a row and at once; and the consumer after the queue."""
    manager = await manager_for()
    queue = manager.get_queue("ending")
    recorder = Recorder()
    consumer = await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder)
    await asyncio.gather(*(queue.stop(timeout) for _ in range(3)))
    await queue.stop(timeout)
    await consumer.stop()
    await consumer.stop(unregister=True)
    await asyncio.gather(*(manager.shutdown(timeout) for _ in range(3)))
    await manager.shutdown(timeout)


async def test_the_second_stop_waits_as_well(manager_for: ManagerFor) -> None:
    """L1: whoever calls it, nothing runs when it has returned."""
    manager = await manager_for()
    queue = manager.get_queue("ending")
    gate = Gate()
    consumer = await queue.consume(gate, consumer_group="g")
    await queue.enqueue(1)
    await gate.calls(1)
    stops = [asyncio.create_task(consumer.stop()) for _ in range(2)]
    done, _ = await asyncio.wait(stops, timeout=0.05)
    assert done == set()
    gate.open()
    await asyncio.gather(*stops)


@pytest.mark.parametrize("what", ["consumer", "queue", "manager"])
async def test_a_handler_may_stop_what_runs_it(manager_for: ManagerFor, what: str) -> None:
    """L1: it does not wait for itself; its job is settled, what it enqueues is stored."""
    manager = await manager_for()
    queue = manager.get_queue("ending")
    completed: list[str] = []
    manager.on(JobCompleted, lambda event: completed.append(event.job_id))
    ends: list[Callable[[], Awaitable[None]]] = []
    after = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await ends[0]()
        after.set()

    consumer = await queue.consume(handler, consumer_group="g")
    stops: dict[str, Callable[[], Awaitable[None]]]
    stops = {"consumer": consumer.stop, "queue": queue.stop, "manager": manager.shutdown}
    ends.append(stops[what])
    await queue.enqueue(1, job_id="ends it")
    await asyncio.wait_for(after.wait(), PATIENCE)
    await wait_until(lambda: completed == ["ends it"], description="it was settled", timeout=PATIENCE)
    await manager.shutdown()


@pytest.mark.parametrize("what", ["queue", "manager", "each other"])
async def test_handlers_that_stop_at_the_same_time(manager_for: ManagerFor, what: str) -> None:
    """L1: none waits for another that waits for it, on one queue or across queues."""
    manager = await manager_for()
    queues = [manager.get_queue("one"), manager.get_queue("two")]
    together = asyncio.Barrier(4)
    ended: list[str] = []

    async def handler(job: Job[int]) -> None:
        await together.wait()
        match what:
            case "queue":
                await queues[job.data].stop()
            case "manager":
                await manager.shutdown()
            case _:
                await queues[1 - job.data].stop()
        ended.append(job.id)

    for index, queue in enumerate(queues):
        await queue.consume(handler, consumer_group="g", max_retries=0)
        await queue.enqueue_many([index, index])
    await wait_until(lambda: len(ended) == 4, description="all handlers returned", timeout=PATIENCE)
    await manager.shutdown()


async def test_a_stop_ends_a_batch_of_others(manager_for: ManagerFor) -> None:
    """L1: a handler that stops with a timeout has the others cancelled, and goes on itself."""
    manager = await manager_for()
    queue = manager.get_queue("ending")
    gate = Gate()
    after = asyncio.Event()

    async def handler(job: Job[str]) -> None:
        if job.data == "stops":
            await queue.stop(timeout=0.05)
            after.set()
        else:
            await gate(job)

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue("runs")
    await gate.calls(1)
    await queue.enqueue("stops")
    await asyncio.wait_for(after.wait(), PATIENCE)
    assert gate.cancelled == 1
    await manager.shutdown()


async def test_a_consumer_stops_while_another_comes(manager_for: ManagerFor) -> None:
    """L1, G6: neither is lost, and neither waits for the other."""
    manager = await manager_for()
    queue = manager.get_queue("changing")
    recorder = Recorder()
    consumer = await queue.consume(recorder, consumer_group="g")
    began = time.monotonic()
    for _ in range(20):
        _, consumer = await asyncio.gather(consumer.stop(), queue.consume(recorder, consumer_group="g"))
        await still_works(queue, recorder)
    assert time.monotonic() - began < 20


async def test_consuming_and_stopping_at_once(manager_for: ManagerFor) -> None:
    """L1: either the consumer starts and is stopped, or it is refused; nothing runs afterwards."""
    manager = await manager_for()
    for _ in range(20):
        queue = manager.get_queue("racing")
        await queue.get_stats()
        _, consumer = await asyncio.gather(
            queue.stop(), queue.consume(Recorder(), consumer_group="g"), return_exceptions=True
        )
        assert isinstance(consumer, QueueStoppedError) or not isinstance(consumer, BaseException)
    groups = await manager.get_queue("racing").get_stats()
    assert groups.processing == 0
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("checkmate")]


def work_on(queue: Queue[Any]) -> list[Callable[[], Awaitable[object]]]:
    """Everything that makes work."""
    return [
        lambda: queue.enqueue(1),
        lambda: queue.enqueue_many([1]),
        lambda: queue.enqueue_many([]),
        lambda: queue.consume(Recorder(), consumer_group="g"),
        lambda: queue.schedule_recurring("s", 1, interval_seconds=1),
        lambda: asyncio.to_thread(queue.enqueue_sync, 1),
    ]


def looks_at(queue: Queue[Any]) -> list[Callable[[], Awaitable[object]]]:
    """Everything that looks and repairs."""
    return [
        queue.get_stats,
        queue.get_in_flight_count,
        queue.get_lag,
        queue.test_connection,
        queue.list_jobs,
        queue.list_failed,
        queue.list_recurring_jobs,
        queue.pause,
        queue.resume,
        lambda: queue.get_job("x"),
        lambda: queue.cancel("x"),
        lambda: queue.cancel_recurring("x"),
        lambda: queue.get_recurring_job_details("x"),
        lambda: queue.retry_failed("x"),
        lambda: queue.discard_failed("x"),
        lambda: queue.drop_group("x"),
    ]


@pytest.mark.parametrize("used", [True, False])
async def test_a_stopped_queue_refuses_work_and_lets_look(manager_for: ManagerFor, used: bool) -> None:
    """L1: and `get_queue` gives a fresh one."""
    manager = await manager_for()
    queue = manager.get_queue("ended")
    if used:
        await queue.enqueue(1)
    await queue.stop()
    for call in work_on(queue):
        with pytest.raises(QueueStoppedError, match="ended"):
            await call()
    with pytest.raises(QueueStoppedError):
        queue.consumer("g")(Recorder())
    for look in looks_at(queue):
        await look()
    fresh = manager.get_queue("ended")
    assert fresh is not queue
    assert fresh is manager.get_queue("ended")
    recorder = Recorder()
    await fresh.consume(recorder, consumer_group="g")
    await still_works(fresh, recorder)


async def test_after_shutdown_everything_raises(manager_for: ManagerFor) -> None:
    """L1: of the manager and of all its queues, whether they were used or not."""
    manager = await manager_for()
    queue, unused = manager.get_queue("used"), manager.get_queue("unused")
    await queue.enqueue(1)
    await manager.shutdown()
    calls: list[Callable[[], Awaitable[object]]] = [
        manager.start,
        manager.get_aggregated_stats,
        manager.get_in_flight_job_count,
        manager.list_all_recurring_jobs,
        manager.get_lag,
        lambda: manager.set_lag_thresholds(1, 2),
    ]
    for each in (queue, unused):
        calls += [*work_on(each), *looks_at(each)]
    for call in calls:
        with pytest.raises(QueueStoppedError):
            await call()
    for name in ("used", "new"):
        with pytest.raises(QueueStoppedError):
            manager.get_queue(name)


async def test_waiting_calls_end_with_the_queue(manager_for: ManagerFor) -> None:
    """L1: what waits for a manager that never starts learns of the shutdown, or of the queue's stop."""
    manager = await manager_for(start=False, patience_seconds=60)
    queue, other = manager.get_queue("one"), manager.get_queue("two")
    waiting = [asyncio.create_task(each.enqueue(1)) for each in (queue, other)]
    await asyncio.sleep(0)
    await other.stop()
    await manager.shutdown()
    for task in waiting:
        with pytest.raises(QueueStoppedError):
            await asyncio.wait_for(task, PATIENCE)


async def test_a_stop_before_the_start_holds(manager_for: ManagerFor) -> None:
    """L1: a call that waited while its queue was stopped does nothing."""
    manager = await manager_for(start=False)
    queue = manager.get_queue("one")
    waiting = asyncio.create_task(queue.enqueue(1))
    await asyncio.sleep(0)
    await queue.stop()
    await manager.start()
    with pytest.raises(QueueStoppedError):
        await asyncio.wait_for(waiting, PATIENCE)
    assert (await queue.get_stats()).unclaimed == 0


async def test_enqueues_under_way_are_through_before_the_end(manager_for: ManagerFor) -> None:
    """L1: each caller gets its answer, and what was answered is stored."""
    manager = await manager_for()
    queue = manager.get_queue("busy")
    await queue.get_stats()
    calls = [asyncio.create_task(queue.enqueue(n)) for n in range(50)]
    await asyncio.sleep(0)
    await queue.stop()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    stored = [answer for answer in answers if isinstance(answer, str)]
    refused = [answer for answer in answers if isinstance(answer, QueueStoppedError)]
    assert len(stored) + len(refused) == 50
    assert (await queue.get_stats()).unclaimed == len(stored)


async def test_an_event_callback_may_shut_down(manager_for: ManagerFor) -> None:
    """L1: a callback that is async does not wait for itself either."""
    manager = await manager_for()
    queue = manager.get_queue("failing")
    done = asyncio.Event()

    async def give_up(event: JobFailed) -> None:
        await manager.shutdown()
        done.set()

    manager.on(JobFailed, give_up)

    async def fails(job: Job[Any]) -> None:
        raise ValueError

    await queue.consume(fails, consumer_group="g", max_retries=0)
    await queue.enqueue(1)
    await asyncio.wait_for(done.wait(), PATIENCE)
    await manager.shutdown()


async def test_threads_and_tasks_are_gone_after_each_of_many_lives(storage: Storage) -> None:
    """L1: no task, timer or thread is left behind."""
    threads = {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")}
    for life in range(5):
        async with QueueManager(storage.url) as manager:
            queue = manager.get_queue("lives")
            recorder = Recorder()
            done = threading.Event()
            await queue.consume(recorder, consumer_group="async")
            await queue.consume(lambda job: done.set(), consumer_group="plain")  # noqa: B023
            await queue.schedule_recurring(f"life {life}", 1, interval_seconds=3600)
            await recorder.calls(1)
            assert await asyncio.to_thread(done.wait, PATIENCE)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    await wait_until(
        lambda: {t for t in threading.enumerate() if not t.name.startswith("asyncio")} <= threads,
        description="the threads are gone",
    )


async def test_a_stop_ends_though_handlers_enqueue_without_end(manager_for: ManagerFor) -> None:
    """L1: its timeout holds for handlers that would go on with the next row, and the next."""
    manager = await manager_for()
    queue = manager.get_queue("import")
    rows = 0

    async def enqueue_rows(job: Job[Any]) -> None:
        nonlocal rows
        while True:
            await queue.enqueue(rows, job_id=job.id, start_delay=3600)
            rows += 1

    await queue.enqueue_many([1, 2])
    await queue.consume(enqueue_rows, consumer_group="g", concurrency=2)
    await wait_until(lambda: rows > 20, description="both enqueue", timeout=PATIENCE)
    await asyncio.wait_for(queue.stop(timeout=0), PATIENCE)
    stats = await manager.get_queue("import").get_stats()
    assert (stats.pending, stats.processing) == (2, 0)
