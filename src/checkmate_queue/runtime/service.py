"""The one base for everything that has a loop."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

log = logging.getLogger("checkmate_queue.runtime")

RESTART_PAUSE = 1.0


class Service(ABC):
    """A loop in a task: started once, stopped once, and started again when it breaks.

    This is the only place that cancels a service's task.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def torn_down(self) -> bool:
        """Whether the event loop ends without a stop, and cancels everything."""
        return self._task is not None and self._task.cancelling() > 0

    def start(self) -> None:
        """Begin the loop; no effect while it runs."""
        if not self.running:
            self._task = asyncio.create_task(self._supervise(), name=self.name)

    async def stop(self) -> None:
        """Cancel the loop and wait until it has ended; from within the loop, only ask it to end."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        if task is not asyncio.current_task():
            await asyncio.wait([task])

    async def joined(self, timeout: float | None = None) -> bool:
        """Wait until the loop has ended by itself; False if it runs on after `timeout` seconds."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait([self._task], timeout=timeout)
        return bool(done)

    @abstractmethod
    async def _run(self) -> None:
        """The loop. Returning ends the service."""

    async def _supervise(self) -> None:
        while True:
            try:
                return await self._run()
            except Exception:
                log.exception("%s broke; it starts again in %g s", self.name, RESTART_PAUSE)
            await asyncio.sleep(RESTART_PAUSE)
