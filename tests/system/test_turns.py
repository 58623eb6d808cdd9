"""Several consumers of one group, bounds, and the surroundings of a handler (G6, G10, G13)."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import Any

import pytest

from checkmate_queue import Discard, InvalidArgumentError, Job
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works
from tests.system.storages import ManagerFor


async def test_consumers_of_one_group_take_turns(manager_for: ManagerFor) -> None:
    """G6: round robin, also where there is no end of slots."""
    manager = await manager_for()
    queue = manager.get_queue("turns")
    recorders = [Recorder() for _ in range(3)]
    for recorder in recorders:
        await queue.consume(recorder, consumer_group="g")
    for n in range(30):
        await queue.enqueue(n)
        await settled(queue)
    assert [len(recorder.jobs) for recorder in recorders] == [10, 10, 10]
    for recorder in recorders:
        assert [later - n for n, later in zip(recorder.data, recorder.data[1:], strict=False)] == [3] * 9


async def test_their_concurrency_adds_up(manager_for: ManagerFor) -> None:
    """G6, G10: and neither exceeds its own."""
    manager = await manager_for()
    queue = manager.get_queue("turns")
    small, large = Gate(), Gate()
    await queue.consume(small, consumer_group="g", concurrency=2)
    await queue.consume(large, consumer_group="g", concurrency=5)
    await queue.enqueue_many(range(20))
    await small.calls(2)
    await large.calls(5)
    assert (await queue.get_stats()).processing == 7
    assert (small.running, large.running) == (2, 5)
    small.open()
    large.open()
    await settled(queue)
    assert (small.most, large.most) == (2, 5)
    assert sorted(small.data + large.data) == list(range(20))


async def test_each_attempt_follows_its_consumers_options(manager_for: ManagerFor) -> None:
    """G6: the `max_retries` and `backoff` of the consumer that ran it decide."""
    manager = await manager_for()
    queue = manager.get_queue("turns")
    attempts: list[str] = []

    async def patient(job: Job[Any]) -> None:
        attempts.append("patient")
        raise RuntimeError

    async def strict(job: Job[Any]) -> None:
        attempts.append("strict")
        raise RuntimeError

    await queue.consume(patient, consumer_group="g", max_retries=9, backoff=lambda *_: 0)
    await queue.consume(strict, consumer_group="g", max_retries=0)
    await queue.enqueue(1)
    await settled(queue)
    assert attempts == ["patient", "strict"]
    assert (await queue.get_stats()).failed == 1


async def test_stopping_one_consumer_leaves_the_other(manager_for: ManagerFor) -> None:
    """G6, L1: what the stopped one ran ends first."""
    manager = await manager_for()
    queue = manager.get_queue("turns")
    gate, stays = Gate(), Recorder()
    leaving = await queue.consume(gate, consumer_group="g")
    await queue.enqueue("last")
    await gate.calls(1)
    await queue.consume(stays, consumer_group="g")
    stopping = asyncio.create_task(leaving.stop())
    await asyncio.sleep(0)  # It has begun, and takes nothing new.
    await still_works(queue, stays)
    assert not stopping.done()
    gate.open()
    await stopping
    await still_works(queue, stays)
    assert gate.data == ["last"]


@pytest.mark.parametrize("concurrency", [1, 3, 10])
async def test_concurrency_is_a_bound(manager_for: ManagerFor, concurrency: int) -> None:
    """G10: `consume(concurrency=)` bounds what one process runs at once in one group."""
    manager = await manager_for()
    queue = manager.get_queue("bound")
    gate = Gate()
    await queue.consume(gate, consumer_group="g", concurrency=concurrency)
    await queue.enqueue_many(range(concurrency + 10))
    await gate.calls(concurrency)
    stats = await queue.get_stats()
    assert (stats.processing, stats.pending) == (concurrency, 10)
    gate.open()
    await settled(queue)
    assert gate.most == concurrency


async def test_the_default_concurrency_is_the_backends(manager_for: ManagerFor) -> None:
    """G10: the config's, in each group."""
    manager = await manager_for(concurrency=4)
    queue = manager.get_queue("bound")
    gates = [Gate(), Gate()]
    for index, gate in enumerate(gates):
        await queue.consume(gate, consumer_group=str(index))
    await queue.enqueue_many(range(8))
    for gate in gates:
        await gate.calls(4)
    assert (await queue.get_stats()).processing == 8
    for gate in gates:
        gate.open()
    await settled(queue)
    assert [gate.most for gate in gates] == [4, 4]


async def test_a_high_concurrency_is_reached(manager_for: ManagerFor) -> None:
    """G10: also beyond what one step of an engine hands out."""
    manager = await manager_for(max_queue_size=None)
    queue = manager.get_queue("bound")
    gate = Gate()
    await queue.enqueue_many(range(2500))
    await queue.consume(gate, consumer_group="g", concurrency=2500)
    await gate.calls(2500)
    gate.open()
    await settled(queue)


async def test_plain_handlers_are_bounded_likewise(manager_for: ManagerFor) -> None:
    """G10: they run side by side on threads, and no more of them than the bound."""
    manager = await manager_for()
    queue = manager.get_queue("bound")
    together = threading.Barrier(4)
    threads: set[str] = set()

    def plain(job: Job[Any]) -> None:
        threads.add(threading.current_thread().name)
        together.wait(PATIENCE)

    await queue.consume(plain, consumer_group="g", concurrency=4, max_retries=0)
    await queue.enqueue_many(range(12))
    await settled(queue)
    assert (await queue.get_stats()).completed == 12
    assert threading.current_thread().name not in threads


TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("TRACE", default="unset")


async def test_every_handler_has_a_task_and_a_context_of_its_own(manager_for: ManagerFor) -> None:
    """G13: what one does to its task or context touches only it."""
    manager = await manager_for(concurrency=5)
    queue = manager.get_queue("surroundings")
    tasks: set[Any] = set()
    seen: list[str] = []

    async def handler(job: Job[int]) -> None:
        seen.append(TRACE.get())
        TRACE.set(f"job {job.data}")
        tasks.add(asyncio.current_task())
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        assert TRACE.get() == f"job {job.data}"

    def plain(job: Job[int]) -> None:
        seen.append(TRACE.get())
        TRACE.set("plain")

    await queue.consume(handler, consumer_group="async")
    await queue.consume(plain, consumer_group="plain")
    await queue.enqueue_many(range(10))
    await settled(queue)
    assert seen == ["unset"] * 20
    assert TRACE.get() == "unset"
    assert len(tasks) == 10
    assert (await queue.get_stats()).completed == 20


async def test_cancelling_ones_own_task_touches_only_it(manager_for: ManagerFor) -> None:
    """G13, F5: it is an attempt that failed, and no other job notices."""
    manager = await manager_for()
    queue = manager.get_queue("surroundings")
    recorder = Recorder()

    async def handler(job: Job[Any]) -> None:
        if job.data == "cancels itself":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(PATIENCE)
        if job.data == "cancels itself and returns":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return
        if job.data == "breaks a group":
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        await recorder(job)

    async def fail() -> None:
        raise Discard("inside a group")

    await queue.consume(handler, consumer_group="g", max_retries=0)
    await queue.enqueue_many(["cancels itself", "cancels itself and returns", "breaks a group", "fine"])
    await settled(queue)
    assert recorder.data == ["fine"]
    failed = {entry.data: entry.error_type for entry in await queue.list_failed()}
    assert failed == {"cancels itself": "CancelledError", "breaks a group": "ExceptionGroup"}
    await still_works(queue, recorder)


class AsyncObject:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    async def __call__(self, job: Job[Any]) -> None:
        await self.recorder(job)

    async def method(self, job: Job[Any]) -> None:
        await self.recorder(job)


@pytest.mark.parametrize("kind", ["object", "method", "partial", "partial of partial", "lambda", "plain"])
async def test_all_kinds_of_handlers(manager_for: ManagerFor, kind: str) -> None:
    """Section 1: an object with an async `__call__` and a partial of a coroutine function are async."""
    manager = await manager_for()
    queue = manager.get_queue("kinds")
    recorder = Recorder()
    instance = AsyncObject(recorder)
    loop_thread = threading.get_ident()
    threads: list[int] = []

    async def two(extra: int, job: Job[Any]) -> None:
        threads.append(threading.get_ident())
        await recorder(job)

    def record(job: Job[Any], thread: int) -> int:
        threads.append(thread)
        recorder.jobs.append(job)
        return thread

    def plain(job: Job[Any]) -> None:
        record(job, threading.get_ident())

    handlers: dict[str, Any] = {
        "object": instance,
        "method": instance.method,
        "partial": functools.partial(two, 1),
        "partial of partial": functools.partial(functools.partial(two), 1),
        "lambda": lambda job: record(job, threading.get_ident()),
        "plain": plain,
    }
    await queue.consume(handlers[kind], consumer_group="g", max_retries=0)
    await still_works(queue, recorder)
    on_the_loop = all(thread == loop_thread for thread in threads)
    assert on_the_loop == (kind not in ("lambda", "plain"))


async def test_a_lambda_around_a_coroutine_is_told_what_to_do(manager_for: ManagerFor) -> None:
    """Section 1: a plain function that returns a coroutine fails with an error that says so."""
    manager = await manager_for()
    queue = manager.get_queue("kinds")
    recorder = Recorder()
    await queue.consume(lambda job: recorder(job), consumer_group="g", max_retries=0)  # noqa: PLW0108
    await queue.enqueue(1)

    async def failed() -> bool:
        return (await queue.get_stats()).failed == 1

    await wait_until(failed, description="the job failed")
    assert recorder.jobs == []
    assert "async def" in (await queue.list_failed())[0].message


async def test_a_lambda_around_a_generator_is_told_what_to_do(manager_for: ManagerFor) -> None:
    """Section 1: nobody would run what it returns, so it has not done its job."""
    manager = await manager_for()
    queue = manager.get_queue("kinds")
    await queue.consume(lambda job: (each for each in [job]), consumer_group="g", max_retries=0)
    await queue.enqueue(1)

    async def failed() -> bool:
        return (await queue.get_stats()).failed == 1

    await wait_until(failed, description="the job failed")
    assert "nobody would run" in (await queue.list_failed())[0].message


async def test_generators_are_no_handlers(manager_for: ManagerFor) -> None:
    """Section 1: a handler with a `yield` would run nothing, and is refused."""
    manager = await manager_for()
    queue = manager.get_queue("kinds")

    async def asynchronous(job: Job[Any]) -> Any:
        yield job

    def plain(job: Job[Any]) -> Any:
        yield job

    for handler in (asynchronous, plain, functools.partial(plain)):
        with pytest.raises(InvalidArgumentError, match="generator"):
            await queue.consume(handler, consumer_group="g")
    assert await queue.list_groups() == []
