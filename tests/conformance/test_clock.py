"""What the suite's tests stand on: the clock, and waiting."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from checkmate_queue.testing.clock import START, TravellingClock
from checkmate_queue.testing.waiting import wait_until


def test_stands_still_until_it_is_moved() -> None:
    """It starts at a fixed time, and moves by seconds or a timedelta, in whole milliseconds."""
    clock = TravellingClock()
    assert clock() == clock() == START
    assert clock.advance(1.5) == clock() == START + 1500
    assert clock.advance(timedelta(minutes=1)) == START + 61_500
    assert clock.back(0.0004) == START + 61_500
    assert clock.back(timedelta(hours=1)) == START + 61_500 - 3_600_000


def test_takes_no_negative_span() -> None:
    """Moving back is said, not computed by accident."""
    clock = TravellingClock(start=5000)
    with pytest.raises(ValueError, match="-1 s"):
        clock.advance(-1)
    with pytest.raises(ValueError, match=r"-2\.0 s"):
        clock.back(timedelta(seconds=-2))
    assert clock() == 5000


def test_tells_of_every_move() -> None:
    """Callbacks are called after the move, in the order in which they came."""
    clock = TravellingClock(start=0)
    seen: list[tuple[str, int]] = []
    clock.on_change(lambda: seen.append(("first", clock())))
    clock.advance(1)
    clock.on_change(lambda: seen.append(("second", clock())))
    clock.back(0.5)
    assert seen == [("first", 1000), ("first", 500), ("second", 500)]


async def test_waits_until_a_predicate_holds() -> None:
    """Plain or async, it is asked again and again until it is true."""
    plain = itertools.count()
    await wait_until(lambda: next(plain) == 3, description="the fourth time")
    assert next(plain) == 4
    asked = itertools.count()

    async def third_time() -> bool:
        return next(asked) == 2

    await wait_until(third_time, description="the third time")
    assert next(asked) == 3


async def test_says_what_it_waited_for_in_vain() -> None:
    """After the timeout it fails, and names what did not happen."""
    with pytest.raises(AssertionError, match=r"0\.01 s in vain until pigs fly"):
        await wait_until(lambda: False, description="pigs fly", timeout=0.01)
