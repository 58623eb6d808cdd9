"""A bell that wakes one sleeper."""

from __future__ import annotations

import asyncio


class Bell:
    """Lets one task sleep until it is rung or a time has passed; a ring while nobody sleeps is kept."""

    __slots__ = ("_rung", "_sleeper")

    def __init__(self) -> None:
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None

    @property
    def sleeping(self) -> bool:
        """Whether somebody sleeps and was not rung."""
        return self._sleeper is not None and not self._rung

    def ring(self) -> None:
        """Wake the sleeper, or the next one at once. Call it on the loop."""
        self._rung = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def wait(self, timeout: float | None = None) -> None:
        """Sleep until rung, at most `timeout` seconds where given."""
        if not self._rung:
            loop = asyncio.get_running_loop()
            sleeper = self._sleeper = loop.create_future()
            timer = None if timeout is None else loop.call_later(timeout, self.ring)
            try:
                await sleeper
            finally:
                self._sleeper = None
                if timer is not None:
                    timer.cancel()
        self._rung = False
