"""Repeating what an unreachable backend refused (L2)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from checkmate_queue.core.errors import BackendUnavailableError

T = TypeVar("T")

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0


async def persevere(call: Callable[[], Awaitable[T]], patience: float = math.inf) -> T:
    """Await `call()` again and again while the backend is unavailable, for up to `patience` seconds.

    The seam allows it: every verb may be repeated after a lost answer. Raises the last
    `BackendUnavailableError` when the patience ends.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    pause = FIRST_PAUSE
    while True:
        try:
            return await call()
        except BackendUnavailableError:
            left = deadline - loop.time()
            if left <= 0:
                raise
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, LONGEST_PAUSE)
