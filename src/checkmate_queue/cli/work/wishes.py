"""What is wanted of a worker: to drain, then to cancel, then to be gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from checkmate_queue.cli.work.signals import exit_code, hear


class Wishes:
    """Each is an event; whoever listens to signals makes the next one come true with each signal."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.cancel = asyncio.Event()
        self.kill = asyncio.Event()
        self.number = 0

    def by_signals(self, on_drain: Callable[[], None], *, end_at_third: bool = False) -> None:
        """Signals are wishes from now on; with `end_at_third` the third one is the end of the process."""

        def came(number: int) -> None:
            self.number = number
            if not self.drain.is_set():
                on_drain()
                self.drain.set()
            elif not self.cancel.is_set():
                self.cancel.set()
            else:
                self.kill.set()

        hear(came, end_at_third=end_at_third)

    def status(self, drained: bool) -> int:
        """The exit code: 0 after a graceful stop, else as a shell shows a death by the signal."""
        return 0 if drained else exit_code(self.number)


async def either(*events: asyncio.Event | asyncio.Future[Any], timeout: float | None = None) -> None:
    """Wait until one of them has come, or for `timeout` seconds."""
    waits = [asyncio.ensure_future(e.wait()) if isinstance(e, asyncio.Event) else e for e in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait, event in zip(waits, events, strict=True):
            if wait is not event:
                wait.cancel()
