"""Threads for plain handlers (F6, G13)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator

import pytest

from checkmate_queue.runtime.threads import HandlerThreads
from checkmate_queue.testing.waiting import wait_until

NUMBER: contextvars.ContextVar[int] = contextvars.ContextVar("NUMBER")


def handlers() -> list[threading.Thread]:
    """The threads that run handlers or wait for some."""
    return [thread for thread in threading.enumerate() if thread.name == "checkmate-handler"]


@pytest.fixture
async def threads() -> AsyncIterator[HandlerThreads]:
    """Some threads, which are gone at the end."""
    await wait_until(lambda: not handlers(), description="others have ended")
    threads = HandlerThreads()
    yield threads
    threads.close()
    await wait_until(lambda: not handlers(), description="the threads have ended")


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()]
)
async def test_what_was_raised_is_told_and_the_thread_goes_on(
    threads: HandlerThreads, error: BaseException
) -> None:
    def fails() -> None:
        raise error

    assert await threads.call(fails) is error
    assert await threads.call(lambda: "a result") is None


async def test_there_are_as_many_as_run_at_once(threads: HandlerThreads) -> None:
    together = threading.Barrier(5)
    calls = [threads.call(lambda: together.wait(10)) for _ in range(5)]
    assert await asyncio.gather(*calls) == [None] * 5
    for _ in range(20):
        await threads.call(lambda: None)
    assert len(handlers()) == 5


async def test_each_call_has_a_copy_of_its_callers_context(threads: HandlerThreads) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(NUMBER.get())
        NUMBER.set(99)

    for number in (1, 2):
        NUMBER.set(number)
        await threads.call(look)
    assert seen == [1, 2]
    assert NUMBER.get() == 2


async def test_a_caller_that_gives_up_keeps_no_thread_from_its_work(threads: HandlerThreads) -> None:
    let_go, ended = threading.Event(), threading.Event()

    def work() -> None:
        let_go.wait(10)
        ended.set()

    future = threads.call(work)
    future.cancel()
    let_go.set()
    assert await asyncio.to_thread(ended.wait, 10)
    assert await threads.call(lambda: None) is None


def test_a_closed_loop_does_no_harm() -> None:
    """The process is on its way out while a handler still runs."""
    let_go, threads = threading.Event(), HandlerThreads()

    async def main() -> None:
        threads.call(let_go.wait)

    asyncio.run(main())
    running = handlers()
    let_go.set()
    threads.close()
    for thread in running:
        thread.join(10)
        assert not thread.is_alive()
        assert thread.daemon
