"""The heartbeat of this process: a thread of its own, so that a blocked event loop loses no lease (G11)."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Protocol

from checkmate_queue.core.errors import QueueError
from checkmate_queue.core.model import Epoch, Orders
from checkmate_queue.store import Consumption, LeaseLostError

log = logging.getLogger("checkmate_queue.heart")

PULSE_SECONDS = 0.25
"""How often the event loop is asked whether it runs."""

BLOCKED_SECONDS = 1.0
"""From which on a blocked event loop is logged."""

STANDSTILL_SECONDS = 3.0
"""After which this thread itself has stood still."""

RETRY_SECONDS = 1.0
"""How soon a renewal that failed is tried again, at the latest."""


class Beating(Protocol):
    """Whoever holds a lease that must be renewed. `report` is called on the thread, the rest on the loop."""

    @property
    def current_epoch(self) -> Epoch | None: ...

    @property
    def beat_seconds(self) -> float: ...

    def report(self) -> bytes: ...

    def obey(self, epoch: Epoch, orders: Orders) -> None: ...

    def lease_lost_soon(self, epoch: Epoch) -> None: ...


class Heart:
    """Renews the leases of this process's workers, and watches its event loop.

    While the loop is blocked it goes on for `max_block_seconds`, then it lets the leases run out: a
    process that is stuck for good must not hold its deliveries for ever.
    """

    def __init__(self, store: Consumption, max_block_seconds: float) -> None:
        self._store = store
        self.max_block_seconds = max_block_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._thread: threading.Thread | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._bell = asyncio.Event()
        self._ended = asyncio.Event()
        self._due: dict[Beating, float] = {}
        self._lock = threading.Lock()
        self._pulse = self._checked = 0.0
        self._reported = False

    def watch(self, worker: Beating) -> None:
        """Keep this worker's lease alive from now on. Call it on the loop."""
        with self._lock:
            self._due[worker] = time.monotonic() + worker.beat_seconds
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._loop_thread = threading.get_ident()
            self._pulse = time.monotonic()
            self._own_loop = asyncio.new_event_loop()
            self._bell, self._ended = asyncio.Event(), asyncio.Event()
            self._thread = threading.Thread(target=self._main, name="checkmate-heart", daemon=True)
            self._thread.start()

    def forget(self, worker: Beating) -> None:
        """Let it go."""
        with self._lock:
            self._due.pop(worker, None)

    async def stop(self, timeout: float = 5.0) -> None:
        """End the thread; one that hangs in an unreachable backend is left behind, as a daemon."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._own_loop is not None
        with suppress(RuntimeError):  # Its loop is closed: it ended by itself.
            self._own_loop.call_soon_threadsafe(self._bell.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._ended.wait()
            thread.join()

    # -- on the thread -----------------------------------------------------------------------

    def _main(self) -> None:
        assert self._own_loop is not None
        try:
            self._own_loop.run_until_complete(self._beat())
        except Exception:
            log.exception("The heartbeat broke; leases of this process will run out")
        finally:
            self._own_loop.close()
            self._tell(self._ended.set)

    async def _beat(self) -> None:
        renewals: set[asyncio.Task[None]] = set()
        while not self._bell.is_set():
            if self._loop is None or self._loop.is_closed():
                log.warning("The event loop ended without a shutdown; leases of this process will run out")
                break
            if self._blocked_seconds() <= self.max_block_seconds:
                for worker in self._take_due():
                    renewal = asyncio.create_task(self._renew(worker))
                    renewals.add(renewal)
                    renewal.add_done_callback(renewals.discard)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._bell.wait()
        for renewal in renewals:
            renewal.cancel()
        await asyncio.gather(*renewals, return_exceptions=True)

    def _take_due(self) -> list[Beating]:
        with self._lock:
            now = time.monotonic()
            due = [worker for worker, at in self._due.items() if at <= now]
            for worker in due:
                self._due[worker] = math.inf  # Until its renewal is done.
        return due

    def _pause(self) -> float:
        with self._lock:
            next_at = min(self._due.values(), default=math.inf)
        return min(PULSE_SECONDS, max(0.01, next_at - time.monotonic()))

    async def _renew(self, worker: Beating) -> None:
        epoch = worker.current_epoch
        pause = worker.beat_seconds
        if epoch is not None:
            try:
                orders = await self._store.heartbeat(epoch, worker.report())
            except LeaseLostError:
                self._tell(worker.lease_lost_soon, epoch)
            except QueueError as error:
                log.warning("The lease on queue %r could not be renewed: %s", epoch.queue, error)
                pause = min(pause, RETRY_SECONDS)
            except Exception:
                log.exception("The lease on queue %r could not be renewed", epoch.queue)
            else:
                self._tell(worker.obey, epoch, orders)
        with self._lock:
            if worker in self._due:
                self._due[worker] = time.monotonic() + pause

    def _tell(self, what: Callable[..., object], *args: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(what, *args)
        except RuntimeError:
            log.debug("The event loop is closed")

    def _blocked_seconds(self) -> float:
        now = time.monotonic()
        if now - self._checked > STANDSTILL_SECONDS:
            self._pulse = now  # This thread stood still, too: the whole process was stopped.
        self._checked = now
        blocked = now - self._pulse
        if blocked > BLOCKED_SECONDS + PULSE_SECONDS and not self._reported:
            self._reported = True
            log.warning(
                "The event loop has been blocked for %.1f s; a handler that blocks must be a plain function, "
                "which runs on a thread. It is here:\n%s",
                blocked - PULSE_SECONDS,
                "".join(traceback.format_stack(self._frame_of_loop())),
            )
        self._tell(self._pulsed)
        return blocked - PULSE_SECONDS

    def _pulsed(self) -> None:
        self._pulse = time.monotonic()
        self._reported = False

    def _frame_of_loop(self) -> FrameType | None:
        return sys._current_frames().get(self._loop_thread)
