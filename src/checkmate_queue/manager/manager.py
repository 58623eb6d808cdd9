"""`QueueManager`: opens a backend, hands out queues, starts and stops what they run."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from checkmate_queue.backends import discover
from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin, QueuePluginRegistry
from checkmate_queue.core.durations import seconds_or_none
from checkmate_queue.core.errors import (
    BackendUnavailableError,
    ConfigError,
    PluginNotFoundError,
    QueueError,
    QueueStoppedError,
)
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import Unclaimed
from checkmate_queue.core.validation import check_name
from checkmate_queue.manager.address import Address
from checkmate_queue.manager.overview import Overview
from checkmate_queue.manager.settings import runtime_settings
from checkmate_queue.manager.switching import Switching
from checkmate_queue.queue.queue import Queue
from checkmate_queue.runtime.attempt import inside_handler
from checkmate_queue.runtime.events import Event, EventHub
from checkmate_queue.runtime.heart import Heart
from checkmate_queue.runtime.runtime import Runtime
from checkmate_queue.store import Clock
from checkmate_queue.switching.backends import Backends, Place

T = TypeVar("T")
E = TypeVar("E", bound=Event)

DEFAULT_PATIENCE = BackendConfig.model_fields["patience_seconds"].default
LOOK_AGAIN_SECONDS = 0.05


class QueueManager(Switching, Overview):
    """One process's door to a backend.

    `url` names the backend: `memory://`, `sqlite:///path`, or what a plugin takes; settings (`concurrency`,
    `lease_seconds`, …) are keywords or the URL's query, a keyword wins. Which backend is active after a
    switch is kept in the backend that `settings`, another URL, names, else in that of `url`; with
    `settings` alone `url` is the same. `lifespan(manager)` returns an
    async context manager that is entered before consumers start and left after they have stopped.
    `clock` replaces the engine's clock, for tests.

    Construction needs no event loop. Wrong settings raise `ConfigError`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        settings: str | None = None,
        lifespan: Callable[[QueueManager], AbstractAsyncContextManager[Any]] | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        if url is None and settings is None:
            raise ConfigError("QueueManager needs the URL of a backend, such as 'sqlite:///queue.db'")
        if lifespan is not None and not callable(lifespan):
            raise ConfigError(f"lifespan must be a function of the manager, not {excerpt(lifespan)}")
        self.registry: QueuePluginRegistry = discover()
        self._address = Address(settings if url is None else url, options)
        self._settings_address = None if url is None or settings is None else Address(settings, {})
        self._lifespan = lifespan
        self._clock = clock
        self._resolved = self._address.resolved(self.registry)
        self._hub = EventHub()
        self._queues: dict[str, Queue[Any]] = {}
        self._retired: list[Queue[Any]] = []
        self._runtime: Runtime | None = None
        self._backends: Backends | None = None
        self._started = threading.Event()
        self._starting = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._consuming = False
        self._shut_down = False
        self._closing = False
        self._closer: asyncio.Task[Any] | None = None
        self._closed = asyncio.Event()
        self._process = 0

    # -- queues ----------------------------------------------------------------------------------

    @overload
    def get_queue(self, name: str, *, unclaimed: Unclaimed | None = None) -> Queue[Any]: ...
    @overload
    def get_queue(
        self, name: str, payload_type: type[T], *, unclaimed: Unclaimed | None = None
    ) -> Queue[T]: ...
    @overload
    def get_queue(
        self, name: str, payload_type: Any, *, unclaimed: Unclaimed | None = None
    ) -> Queue[Any]: ...
    def get_queue(
        self, name: str, payload_type: Any = Any, *, unclaimed: Unclaimed | None = None
    ) -> Queue[Any]:
        """The queue of this name, the same object until it is stopped.

        `unclaimed` says what becomes of jobs that become ready while no group is registered: `"hold"` (the
        default) or `"drop"` (G2). Raises `ConfigError` where the queue exists with another payload type or
        option.
        """
        if not self.draining or not inside_handler():
            self._check_not_shut_down()
        name = check_name("queue name", name)
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(name, payload_type, unclaimed or "hold", self)
            return queue
        if payload_type is not Any and payload_type != queue.payload_type:
            raise ConfigError(
                f"Queue {name!r} has the payload type {queue.payload_type!r} in this process, "
                f"not {payload_type!r}"
            )
        if unclaimed is not None and unclaimed != queue.unclaimed:
            raise ConfigError(
                f"Queue {name!r} has unclaimed={queue.unclaimed!r} in this process, not {unclaimed!r}"
            )
        return queue

    def get_queues(self) -> list[Queue[Any]]:
        """The queues that this process holds now."""
        return list(self._queues.values())

    # -- the backend -----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The URL that the manager was given, without user, password and query."""
        return self._address.shown

    def _resolve(self) -> tuple[QueuePlugin[Any], BackendConfig]:
        if self._resolved is None:
            plugin = self._address.plugin(self.registry)
            self._resolved = plugin, self._address.config(plugin)
        return self._resolved

    # -- starting and stopping -------------------------------------------------------------------

    def configure(self, url: str | None = None, **settings: Any) -> None:
        """Replace the URL, settings or both before the start; wrong ones raise `ConfigError`.

        They win over what the manager was made with: a URL over the old one with its query, a setting over
        the same setting. Nothing else is forgotten.
        """
        if self._runtime is not None:
            raise ConfigError("The settings of a manager that was started can't be replaced")
        address = self._address.replaced(url, settings)
        self._resolved = address.resolved(self.registry)
        self._address = address

    async def start(self, consume: bool = True, *, queues: Collection[str] | None = None) -> None:
        """Open the backend and start the consumers that were declared; starting twice has no effect.

        `consume=False`: for a process that only produces although it imports declared consumers. With
        `queues`, only the declared consumers of these start.

        Raises `BackendUnavailableError` after the patience, `PluginNotFoundError`, and `ConfigError` for a
        storage that isn't ours or is of a newer version.
        """
        self._check_not_shut_down()
        if self._runtime is not None:
            self.check_caller()
        async with self._starting:
            if self._runtime is None:
                await self._open()
            if consume and not self._consuming:
                await self._begin_consuming(queues)

    async def _open(self) -> None:
        plugin, config = await self._await_plugin()
        given = Place(plugin, config)
        home = self._home(given)
        backends = Backends(self.registry, home, given, self._hub, self._clock, self._config_changed)
        store = await backends.open()
        try:
            self._check_not_shut_down()
        except BaseException:
            await backends.close()
            raise
        self._backends, config = backends, backends.active.config
        store.listen(self._news)
        settings = runtime_settings(config, self._clock)
        heart = Heart(store, config.max_block_seconds)
        loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._runtime = Runtime(store, settings, self._hub, heart, loop)
        self.start_polling()
        self._started.set()

    async def _await_plugin(self) -> tuple[QueuePlugin[Any], BackendConfig]:
        """The plugin may be registered a moment later than it is needed (L7)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEFAULT_PATIENCE
        while True:
            try:
                return self._resolve()
            except PluginNotFoundError:
                if loop.time() >= deadline:
                    raise
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _begin_consuming(self, names: Collection[str] | None) -> None:
        if self._lifespan is not None:
            await self._stack.enter_async_context(self._lifespan(self))
        begun: list[Queue[Any]] = []
        try:
            while waiting := [queue for queue in self.get_queues() if self._is_to_start(queue, names)]:
                for queue in waiting:
                    begun.append(queue)
                    await queue.start_declared()
            self._check_not_shut_down()
        except BaseException:
            # What has begun must not go on outside its lifespan; it begins again with the next start.
            await asyncio.gather(*(queue.withdraw_declared() for queue in begun))
            await self._stack.aclose()
            raise
        self._consuming = True

    def _is_to_start(self, queue: Queue[Any], names: Collection[str] | None) -> bool:
        return queue.has_declared and (names is None or queue.name in names)

    async def shutdown(self, timeout: float | timedelta | None = None) -> None:
        """Stop all queues (as `Queue.stop`, L1) and close the backend.

        Afterwards everything raises `QueueStoppedError`. Calling it twice, or from inside a handler, works.
        """
        seconds = seconds_or_none(timeout, name="timeout")
        if self._runtime is not None:
            self.check_caller()
        self._shut_down = True
        queues = [*self._queues.values(), *self._retired]
        await asyncio.gather(*(queue.stop(seconds) for queue in queues))
        first, self._closing = not self._closing, True
        if self._hub.runs_caller() or (inside_handler() and not all(queue.has_ended for queue in queues)):
            # It can't wait for itself: the rest is done when it ends.
            if first:
                self._closer = asyncio.get_running_loop().create_task(self._close(queues))
        elif first:
            # In the caller's own task, so that a lifespan may end where it began.
            self._closer = asyncio.current_task()
            await self._close(queues)
        elif asyncio.current_task() is not self._closer:
            await self._closed.wait()

    async def _close(self, queues: list[Queue[Any]]) -> None:
        try:
            for queue in queues:
                await queue.ended()
            while self._queues:  # What a handler asked for meanwhile.
                await asyncio.gather(*(queue.stop(0) for queue in self.get_queues()))
            await self._stack.aclose()
        finally:
            runtime, self._runtime = self._runtime, None
            self._consuming = False
            self._started.clear()
            backends, self._backends = self._backends, None
            try:
                if runtime is not None:
                    await runtime.close()
            finally:
                if backends is not None:
                    await backends.close()
                self._closed.set()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.shutdown()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.shutdown()

    # -- what queues ask -------------------------------------------------------------------------

    async def runtime(self) -> Runtime:
        """The running backend; waits for a start under way, and raises after the patience (L7)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience()
        while self._runtime is None:
            self._check_not_shut_down()
            if loop.time() >= deadline:
                self._address.plugin(self.registry)
                raise self._not_started()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        self.check_caller()
        return self._runtime

    def check_caller(self) -> None:
        """Raise `QueueError` after the shutdown, in a forked process and in another event loop."""
        runtime = self._runtime
        if runtime is None:
            return self._check_not_shut_down()
        self._check_process()
        if _running_loop() is not runtime.loop:
            raise QueueError(
                "This QueueManager was started in another event loop; make one for each loop, "
                "or call enqueue_sync"
            )

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise QueueError(
                f"This QueueManager was started in process {self._process} and can't be used after a fork, "
                f"in process {os.getpid()}; make and start one in each process"
            )

    def loop_from_thread(self) -> asyncio.AbstractEventLoop:
        """The manager's loop, for a caller on another thread."""
        if not self.draining:
            self._check_not_shut_down()
        here = _running_loop()
        if not self._started.wait(self._patience() if here is None else 0):
            raise self._not_started()
        runtime = self._runtime
        if runtime is None:
            raise QueueStoppedError("The manager was shut down; make a new QueueManager")
        self._check_process()
        if here is runtime.loop:
            raise QueueError("enqueue_sync would block the event loop; here, write: await queue.enqueue(...)")
        return runtime.loop

    def call_on_loop(self, call: Callable[..., object], *args: object) -> None:
        """Have it called on the manager's loop; at once, if that is where we are."""
        assert self._runtime is not None
        if _running_loop() is self._runtime.loop:
            call(*args)
        else:
            self._runtime.loop.call_soon_threadsafe(call, *args)

    @property
    def draining(self) -> bool:
        """Whether a shutdown is under way that has not closed the backend yet."""
        return self._shut_down and self._runtime is not None

    @property
    def consuming(self) -> bool:
        return self._consuming

    def forget(self, name: str, queue: object) -> None:
        """The queue was stopped: `get_queue` gives a fresh one."""
        if self._queues.get(name) is queue:
            self._retired = [retired for retired in self._retired if not retired.has_ended]
            self._retired.append(self._queues.pop(name))

    def _news(self, name: str) -> None:
        if queue := self._queues.get(name):
            queue.work_came()

    def _patience(self) -> float:
        return self._resolved[1].patience_seconds if self._resolved else float(DEFAULT_PATIENCE)

    def _check_not_shut_down(self) -> None:
        if self._shut_down:
            raise QueueStoppedError("The manager was shut down; make a new QueueManager")

    def _not_started(self) -> QueueError:
        return BackendUnavailableError(
            f"The manager of {self._address.scheme}:// has not been started; add: await manager.start(), "
            "or: async with manager:"
        )

    # -- all queues ------------------------------------------------------------------------------

    def _view(self, name: str) -> Queue[Any]:
        # One to look through: whoever asks for the queue first still chooses its payload type.
        return self._queues.get(name) or Queue(name, Any, "hold", self)

    def on(self, event_class: type[E], callback: Callable[[E], object]) -> None:
        """Call `callback(event)`, plain or async, for each event of this class in this process."""
        self._hub.on(event_class, callback)

    async def _open_runtime(self) -> Runtime:
        self._check_not_shut_down()
        self.check_caller()
        return await self.runtime()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
