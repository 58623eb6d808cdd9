"""Typed events of this process: what logs, metrics and traces hang on."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from checkmate_queue.core.details import Severity
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt

log = logging.getLogger("checkmate_queue.events")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on `queue` in this process."""

    queue: str


@dataclass(frozen=True, slots=True)
class JobEnqueued(Event):
    """`enqueue` stored a job, or found one of this id (`created` False).

    There is none for what is enqueued within a transaction.
    """

    job_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class JobStarted(Event):
    """An attempt begins; `attempts` failed before it."""

    job_id: str
    consumer_group: str
    attempts: int


@dataclass(frozen=True, slots=True)
class JobCompleted(Event):
    """A handler returned, after `seconds`."""

    job_id: str
    consumer_group: str
    seconds: float


@dataclass(frozen=True, slots=True)
class JobRetried(Event):
    """An attempt failed, with `error`, and the next one comes after `delay_seconds`."""

    job_id: str
    consumer_group: str
    attempts: int
    delay_seconds: float
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class JobFailed(Event):
    """A delivery has used its tries and is kept as failed.

    `error` is what the handler raised, a `TimeoutError` where it took too long, or why its payload can't be
    read; None for a stall.
    """

    job_id: str
    consumer_group: str
    error_type: str
    message: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class JobCancelled(Event):
    """A running delivery was cancelled."""

    job_id: str
    consumer_group: str


@dataclass(frozen=True, slots=True)
class LeaseLost(Event):
    """This process lost its lease on the queue; its deliveries run elsewhere (G8)."""

    deliveries: int


@dataclass(frozen=True, slots=True)
class GroupAbandoned(Event):
    """A group has no consumer while others of its queue have; it will be dropped at `drop_at` (G4)."""

    consumer_group: str
    drop_at_ms: int


@dataclass(frozen=True, slots=True)
class SwitchProgressed(Event):
    """This process switches the backend: `jobs` of about `total` have been copied. `queue` is empty."""

    step: str
    jobs: int
    total: int


@dataclass(frozen=True, slots=True)
class BackendSwitched(Event):
    """This process works with another backend from now on, whoever switched. `queue` is empty."""

    plugin: str
    version: int


@dataclass(frozen=True, slots=True)
class LagChanged(Event):
    """The severity of the queue's lag changed; signalled once across instances (L4)."""

    old: Severity
    new: Severity


CALLBACK_PATIENCE = 5.0
"""How long, in seconds, a shutdown waits for callbacks."""

E = TypeVar("E", bound=Event)


class EventHub:
    """Calls back for events; callbacks may be plain or async, and their errors are logged."""

    def __init__(self) -> None:
        self._callbacks: dict[type[Event], list[Callable[[Any], object]]] = {}
        self._tasks: set[asyncio.Future[Any]] = set()

    def on(self, event_class: type[E], callback: Callable[[E], object]) -> None:
        """Call `callback(event)` for events of this class, or for all with `Event` itself.

        Raises `InvalidArgumentError` for what is no class of events or can't be called.
        """
        given: object = event_class
        if not (isinstance(given, type) and issubclass(given, Event)):
            raise InvalidArgumentError(f"event_class must be a class of events, not {excerpt(given)}")
        if not callable(callback):
            raise InvalidArgumentError(f"callback must be callable, not {excerpt(callback)}")
        for each in Event.__subclasses__() if event_class is Event else [event_class]:
            self._callbacks.setdefault(each, []).append(callback)

    def copy(self) -> EventHub:
        """One with the same callbacks."""
        hub = EventHub()
        hub._callbacks = {event_class: list(each) for event_class, each in self._callbacks.items()}
        return hub

    def wants(self, event_class: type[Event]) -> bool:
        """Whether anybody listens, so that the hot path builds no event in vain."""
        return event_class in self._callbacks

    def emit(self, event: Event) -> None:
        """Call everybody who listens for the event's class. Call it on the loop."""
        for callback in self._callbacks.get(type(event), ()):
            try:
                result = callback(event)
            except Exception:
                log.exception("A callback for %s failed", type(event).__name__)
                continue
            if inspect.isawaitable(result):
                task = asyncio.ensure_future(result)
                self._tasks.add(task)
                task.add_done_callback(self._finished)

    def runs_caller(self) -> bool:
        """Whether the caller is an async callback."""
        return asyncio.current_task() in self._tasks

    async def drain(self) -> None:
        """Wait for async callbacks under way, and cancel those that take too long."""
        await self._wait(CALLBACK_PATIENCE)
        for task in self._tasks:
            log.warning("A callback for an event does not end; it is cancelled: %r", task)
            task.cancel()
        await self._wait(CALLBACK_PATIENCE)

    async def _wait(self, timeout: float) -> None:
        if tasks := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=timeout)

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("An async callback for an event failed", exc_info=error)
