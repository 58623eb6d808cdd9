"""What every part of a queue needs: its name, its codec, its backend, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

from checkmate_queue.core.durations import seconds_or_none
from checkmate_queue.core.errors import InvalidArgumentError, QueueStoppedError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import Unclaimed
from checkmate_queue.core.payload import PayloadCodec
from checkmate_queue.core.validation import check_name
from checkmate_queue.queue.source import RuntimeSource
from checkmate_queue.runtime.attempt import inside_handler
from checkmate_queue.runtime.lag import LagWatch
from checkmate_queue.runtime.outbox import Outbox
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.runtime.runtime import Runtime
from checkmate_queue.runtime.worker import Worker

T = TypeVar("T")
R = TypeVar("R")


class Attached:
    """What a queue holds once it has a backend."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        settings = runtime.settings
        self.runtime = runtime
        self.outbox = Outbox(runtime.store, name, settings.patience_seconds)
        self.lag = LagWatch(runtime.store, name, runtime.hub)
        self.worker = Worker(
            runtime.store, name, settings, runtime.heart, runtime.threads, runtime.hub, self.lag
        )


class QueueBase(Generic[T]):
    """A queue without its public verbs."""

    def __init__(self, name: str, payload_type: Any, unclaimed: Unclaimed, source: RuntimeSource) -> None:
        self.name = check_name("queue name", name)
        if unclaimed not in ("hold", "drop"):
            raise InvalidArgumentError(f"unclaimed must be 'hold' or 'drop', not {excerpt(unclaimed)}")
        self.payload_type = payload_type
        self.unclaimed: Unclaimed = unclaimed
        self._codec: PayloadCodec[T] = PayloadCodec(payload_type)
        self._source = source
        self._detach()

    def _detach(self) -> None:
        self._attached: Attached | None = None
        self._attaching = asyncio.Lock()
        self._stopped = False
        self._ended = False

    # -- the end ---------------------------------------------------------------------------------

    async def stop(self, timeout: float | timedelta | None = None) -> None:
        """Stop this process's part of the queue: wait for running handlers, settle them, leave (L1).

        With `timeout`, what still runs then is cancelled and given back to the front. Calling it
        again, or from inside a handler, works.
        """
        seconds = seconds_or_none(timeout, name="timeout")
        if self._attached is not None and not self._ended:
            self._source.check_caller()
        self._stopped = True
        self._source.forget(self.name, self)
        if self._attached is not None:
            await self._attached.worker.stop(seconds)
            await self._attached.outbox.drained()
        self._ended = self._attached is None or self._attached.worker.has_ended

    async def ended(self) -> None:
        """Wait for what a stop from inside a handler left to be done."""
        if self._attached is not None:
            await self._attached.worker.ended()
        self._ended = True

    @property
    def worker(self) -> Worker | None:
        """This process's part in the queue, once it has a backend."""
        return None if self._attached is None else self._attached.worker

    @property
    def has_ended(self) -> bool:
        return self._ended

    @property
    def stopped(self) -> bool:
        return self._stopped

    def config_changed(self) -> None:
        """It may say otherwise how many deliveries run at once, or how large a payload may be."""
        if self._attached is not None:
            self._codec.max_bytes = self._attached.runtime.settings.max_payload_bytes
            self._attached.worker.slots_changed()

    def work_came(self) -> None:
        """The backend has news of this queue."""
        if self._attached is not None:
            self._attached.worker.work_came()

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    # -- the backend -----------------------------------------------------------------------------

    def _check_open(self) -> None:
        # A stop waits for running handlers, and what these enqueue belongs to what they do.
        if self._stopped and not (inside_handler() and (self._source.draining or not self._ended)):
            raise QueueStoppedError(
                f"Queue {self.name!r} was stopped; ask the manager for it again: "
                f"manager.get_queue({self.name!r})"
            )

    async def _open_for_work(self) -> Attached:
        self._check_open()
        if self._attached is None:
            await self._attach()
            self._check_open()  # It may have been stopped while it waited for the backend.
        return await self._attach()

    async def _attach(self) -> Attached:
        self._source.check_caller()
        if self._attached is not None:
            return self._attached
        async with self._attaching:
            if self._attached is None:
                runtime = await self._source.runtime()
                self._codec.max_bytes = runtime.settings.max_payload_bytes
                await persevere(lambda: runtime.store.register(self.name), runtime.settings.patience_seconds)
                self._attached = Attached(runtime, self.name)
        return self._attached

    async def _look(self, call: Callable[[Runtime], Awaitable[R]]) -> R:
        """Read as `_ask`, without making the queue known to the backend."""
        self._source.check_caller()
        runtime = await self._source.runtime()
        return await persevere(lambda: call(runtime), runtime.settings.patience_seconds)

    async def _ask(self, call: Callable[[Runtime], Awaitable[R]]) -> R:
        """Call the backend's store through the runtime, as patiently as it is set."""
        runtime = (await self._attach()).runtime
        return await persevere(lambda: call(runtime), runtime.settings.patience_seconds)
