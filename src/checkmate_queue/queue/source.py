"""Where a queue gets its backend from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from checkmate_queue.runtime.runtime import Runtime


class RuntimeSource(Protocol):
    """What a queue needs of its manager."""

    async def runtime(self) -> Runtime:
        """The running backend; waits for it, and raises after the patience (L7)."""

    def check_caller(self) -> None:
        """Raise `QueueError` in a forked process or in another event loop than the manager's."""

    def loop_from_thread(self) -> asyncio.AbstractEventLoop:
        """The manager's loop, for callers on other threads; waits likewise, and raises on the loop itself."""

    def call_on_loop(self, call: Callable[..., object], *args: object) -> None:
        """Have it called on the manager's loop, from whichever thread."""

    @property
    def draining(self) -> bool:
        """Whether a shutdown waits for handlers, which may enqueue until they are done."""

    @property
    def consuming(self) -> bool:
        """Whether consumers that are declared now begin at once."""

    def forget(self, name: str, queue: object) -> None:
        """The queue was stopped: `get_queue` gives a fresh one from now on (L1)."""
