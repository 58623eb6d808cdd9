"""What surrounds consuming: the lifespan, and the manager as a context (section 1)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from checkmate_queue import Job, QueueManager, QueueStoppedError
from tests.system.handlers import Recorder, still_works
from tests.system.storages import ManagerFor, Storage

Lifespan = Callable[[QueueManager], AbstractAsyncContextManager[None]]


async def test_it_is_entered_before_consumers_start_and_left_after_they_stop(manager_for: ManagerFor) -> None:
    """Section 1: handlers find what it set up, and the queue works inside of it."""
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(manager: QueueManager) -> AsyncIterator[None]:
        log.append("enter")
        inside = manager.get_queue("inside")
        await inside.enqueue("from the lifespan")
        yield
        log.append(f"leave, {(await inside.get_stats()).completed} completed")

    manager = await manager_for(lifespan=lifespan, start=False)
    queue = manager.get_queue("inside")
    seen = asyncio.Event()

    @queue.consumer("g")
    async def handler(job: Job[Any]) -> None:
        log.append(f"job {job.data}")
        seen.set()

    assert callable(handler)
    await manager.start()
    await asyncio.wait_for(seen.wait(), 30)
    await manager.start()
    await manager.shutdown()
    await manager.shutdown()
    assert log == ["enter", "job from the lifespan", "leave, 1 completed"]


async def test_a_producer_has_no_lifespan(manager_for: ManagerFor) -> None:
    """Section 1: it surrounds consuming."""
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(manager: QueueManager) -> AsyncIterator[None]:
        log.append("enter")
        yield
        log.append("leave")

    manager = await manager_for(lifespan=lifespan, consume=False)
    await manager.get_queue("q").enqueue(1)
    assert log == []
    await manager.start()
    await manager.shutdown()
    assert log == ["enter", "leave"]


async def test_one_that_fails_keeps_the_manager_from_starting(storage: Storage) -> None:
    """Section 1: its error is the caller's, and nothing stays open (the fixture of L1 looks)."""

    @asynccontextmanager
    async def lifespan(manager: QueueManager) -> AsyncIterator[None]:
        await manager.get_queue("q").enqueue("before it failed")
        if manager.get_queues():
            raise ZeroDivisionError
        yield

    manager = storage.manager(lifespan=lifespan)
    manager.get_queue("q").consumer("g")(Recorder())
    with pytest.raises(ZeroDivisionError):
        async with manager:
            pytest.fail("it must not start")
    with pytest.raises(QueueStoppedError):
        await manager.start()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_that_fails_at_its_end(manager_for: ManagerFor) -> None:
    """Section 1: its error reaches whoever shuts down; the rest is closed all the same."""

    @asynccontextmanager
    async def lifespan(manager: QueueManager) -> AsyncIterator[None]:
        yield
        raise ZeroDivisionError

    manager = await manager_for(lifespan=lifespan)
    recorder = Recorder()
    queue = manager.get_queue("q")
    await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder)
    with pytest.raises(ZeroDivisionError):
        await manager.shutdown()
    await manager.shutdown()


async def test_one_that_depends_on_its_task_and_context(manager_for: ManagerFor) -> None:
    """Section 1: it ends in the task that shuts down, as a context variable and a task group need it."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    @asynccontextmanager
    async def lifespan(manager: QueueManager) -> AsyncIterator[None]:
        token = variable.set("set")
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(3600))
            yield
            task.cancel()
        variable.reset(token)

    async with await manager_for(lifespan=lifespan, start=False) as manager:
        await manager.get_queue("q").enqueue(1)


async def test_one_that_shuts_down_itself(manager_for: ManagerFor) -> None:
    """L1: at its end, as somebody may write who starts elsewhere."""

    @asynccontextmanager
    async def lifespan(manager: QueueManager) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await manager.shutdown()

    manager = await manager_for(lifespan=lifespan)
    await asyncio.wait_for(manager.shutdown(), 30)


async def test_consumers_that_are_declared_while_others_start(manager_for: ManagerFor) -> None:
    """Section 1: begin as well, on queues that have had their turn, too."""
    late = Recorder()

    @asynccontextmanager
    async def lifespan(manager: QueueManager) -> AsyncIterator[None]:
        manager.get_queue("first").consumer("late")(late)
        yield

    manager = await manager_for(lifespan=lifespan, start=False)
    first = manager.get_queue("first")
    first.consumer("early")(Recorder())
    await manager.start()
    await still_works(first, late)


async def test_the_body_of_the_context_may_raise(storage: Storage) -> None:
    """Section 1: its error goes on, and everything is closed."""
    with pytest.raises(ZeroDivisionError):
        async with storage.manager() as manager:
            await manager.get_queue("q").consume(Recorder(), consumer_group="g")
            raise ZeroDivisionError
    with pytest.raises(QueueStoppedError):
        manager.get_queue("q")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_handlers_are_awaited_at_the_end_of_the_context(storage: Storage) -> None:
    """L1: what runs is finished first."""
    ended: list[int] = []
    started = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        started.set()
        await asyncio.sleep(0.05)
        ended.append(1)

    async with storage.manager() as manager:
        queue = manager.get_queue("q")
        await queue.consume(handler, consumer_group="g")
        await queue.enqueue(1)
        await asyncio.wait_for(started.wait(), 30)
    assert ended == [1]
