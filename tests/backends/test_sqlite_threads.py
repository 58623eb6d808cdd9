"""Blocking work beside a loop that may give it up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from checkmate_queue.backends.sqlite.threads import in_thread


@pytest.mark.parametrize("when", ["at work", "with the result on its way"])
async def test_given_up(when: str) -> None:
    """Who is cancelled is free at once; what was made is given away, and not by the loop."""
    going_on = threading.Event()
    discarded = threading.Event()
    discarding: list[threading.Thread] = []

    def work() -> str:
        assert going_on.wait(30)
        return "result"

    def discard(result: str) -> None:
        assert result == "result"
        discarding.append(threading.current_thread())
        discarded.set()

    waiting = asyncio.create_task(in_thread(work, discard))
    await asyncio.sleep(0)
    if when == "with the result on its way":
        before = threading.enumerate()
        going_on.set()
        for thread in before:
            if thread.name == "checkmate-queue-sqlite-open":
                thread.join(30)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert going_on.is_set() == (when != "at work")
    going_on.set()
    assert await asyncio.to_thread(discarded.wait, 30)
    assert discarding != [threading.main_thread()]


async def test_what_fails_is_said() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
