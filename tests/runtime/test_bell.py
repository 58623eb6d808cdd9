"""A bell wakes one sleeper, and remembers a ring that nobody heard."""

from __future__ import annotations

import asyncio

import pytest

from checkmate_queue.runtime.bell import Bell


async def test_a_ring_wakes_the_sleeper() -> None:
    bell = Bell()
    sleeper = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    states = [bell.sleeping]
    bell.ring()
    bell.ring()
    states.append(bell.sleeping)
    await sleeper
    assert states == [True, False]


async def test_a_ring_that_nobody_heard_is_kept_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bell.wait()


async def test_a_time_passes_as_well() -> None:
    bell = Bell()
    await bell.wait(0)
    await bell.wait(0.001)
    assert not bell.sleeping


async def test_a_cancelled_sleeper_leaves_nothing_behind() -> None:
    bell = Bell()
    sleeper = asyncio.create_task(bell.wait(0.01))
    await asyncio.sleep(0)
    sleeper.cancel()
    await asyncio.wait([sleeper])
    assert not bell.sleeping
    bell.ring()
    await bell.wait()
