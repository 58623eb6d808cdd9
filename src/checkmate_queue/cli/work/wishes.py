"""What is wanted of a worker: to drain, then to cancel, then to be gone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Wishes:
    """Each is an event; whoever listens to signals makes the next one come true with each signal."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.cancel = asyncio.Event()
        self.kill = asyncio.Event()
        self.number = 0

    @contextmanager
    def by_signals(self, on_drain: Callable[[], None]) -> Iterator[None]:
        """Signals are wishes inside this block."""
        loop = asyncio.get_running_loop()

        def came(number: int) -> None:
            self.number = number
            if not self.drain.is_set():
                on_drain()
                self.drain.set()
            elif not self.cancel.is_set():
                self.cancel.set()
            else:
                self.kill.set()

        for number in NUMBERS:
            loop.add_signal_handler(number, came, number)
        try:
            yield
        finally:
            for number in NUMBERS:
                loop.remove_signal_handler(number)

    def status(self, drained: bool) -> int:
        """The exit code: 0 after a graceful stop, else as a shell shows a death by the signal."""
        return 0 if drained else 128 + self.number


async def either(*events: asyncio.Event | asyncio.Future[Any], timeout: float | None = None) -> None:
    """Wait until one of them has come, or for `timeout` seconds."""
    waits = [asyncio.ensure_future(e.wait()) if isinstance(e, asyncio.Event) else e for e in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait, event in zip(waits, events, strict=True):
            if wait is not event:
                wait.cancel()
