"""Waiting for a fact instead of sleeping for a while."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05


async def wait_until(
    predicate: Callable[[], object] | Callable[[], Awaitable[object]],
    *,
    description: str,
    timeout: float = 5.0,
) -> None:
    """Return as soon as the predicate, plain or async, is true; after `timeout` seconds fail, naming it."""
    deadline = time.monotonic() + timeout
    pause = _SHORTEST_PAUSE
    while not await _holds(predicate):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain until {description}")
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _holds(predicate: Callable[[], object] | Callable[[], Awaitable[object]]) -> bool:
    answer = predicate()
    return bool(await answer if inspect.isawaitable(answer) else answer)
