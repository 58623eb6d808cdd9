"""One attempt of one delivery: what runs a handler, and what ends it early."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from pydantic_core import from_json

from checkmate_queue.core.errors import PayloadError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.job import NO_METADATA, Cancellation, Job
from checkmate_queue.core.lifecycle import (
    COMPLETED,
    Happened,
    Raised,
    RetryPolicy,
    StoppedEarly,
    TimedOut,
    Unreadable,
)
from checkmate_queue.core.model import RECORD_FORMAT, Claim, Epoch, StartFrom
from checkmate_queue.core.payload import PayloadCodec, check_format
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.runtime.threads import HandlerThreads

CURRENT_ATTEMPT: ContextVar[Attempt | None] = ContextVar("checkmate_queue_attempt", default=None)


@dataclass(frozen=True, slots=True)
class SubscriberOptions:
    """What a consumer asks for; spans in seconds."""

    concurrency: int | None
    retry: RetryPolicy
    timeout: float | None = None
    ephemeral: bool = False
    start_from: StartFrom = "now"
    on_rejoin: Callable[[], object] | None = None


class Subscriber:
    """One consumer's handler in a group of a queue, and how many of its slots are taken."""

    __slots__ = ("codec", "group", "handler", "is_async", "options", "queue", "running", "settings")

    def __init__(
        self,
        queue: str,
        group: str,
        handler: Callable[[Job[Any]], object],
        codec: PayloadCodec[Any],
        options: SubscriberOptions,
        settings: RuntimeSettings,
    ) -> None:
        self.settings = settings
        self.queue = queue
        self.group = group
        self.handler = handler
        self.codec = codec
        self.options = options
        self.is_async = is_async_callable(handler)
        self.running = 0

    @property
    def retry(self) -> RetryPolicy:
        """By which an attempt that fails is settled."""
        retry, multiplier = self.options.retry, self.settings.delay_multiplier
        return retry if retry.multiplier == multiplier else replace(retry, multiplier=multiplier)

    @property
    def concurrency(self) -> int:
        return self.options.concurrency or self.settings.concurrency

    @property
    def free(self) -> int:
        return self.concurrency - self.running


@contextmanager
def stopping() -> Iterator[Attempt | None]:
    """While a handler, if the caller is one, waits for others to end: no handler that stops waits for it."""
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.stops += 1
    try:
        yield attempt
    finally:
        if attempt is not None:
            attempt.stops -= 1


def inside_handler() -> bool:
    """Whether the caller is a handler, or something that a handler has called."""
    attempt = CURRENT_ATTEMPT.get()
    return attempt is not None and attempt.task is not None and not attempt.task.done()


def is_async_callable(handler: Callable[..., object]) -> bool:
    """Whether calling it gives a coroutine: `async def`, a partial of one, or an async `__call__`."""
    return any(inspect.iscoroutinefunction(function) for function in _functions_of(handler))


def is_generator_callable(handler: Callable[..., object]) -> bool:
    """Whether calling it only makes a generator, async or not, since it has a `yield`."""
    return any(
        inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        for function in _functions_of(handler)
    )


def _functions_of(handler: Callable[..., object]) -> tuple[object, object]:
    while isinstance(handler, partial):
        handler = handler.func
    return handler, type(handler).__call__


class Attempt(Cancellation):
    """A claim in the hands of a subscriber."""

    __slots__ = ("begun", "claim", "end", "epoch", "started_at", "stops", "subscriber", "task")

    def __init__(self, claim: Claim, subscriber: Subscriber, epoch: Epoch, started_at: float) -> None:
        super().__init__()
        self.claim = claim
        self.subscriber = subscriber
        self.epoch = epoch
        self.started_at = started_at
        self.begun = False
        self.stops = 0
        self.end: Happened | None = None
        self.task: asyncio.Task[None] | None = None

    def cancel(self, end: Happened) -> None:
        """End it early; a plain function can't be interrupted: it is told, and ends when it returns (F6)."""
        if self.end is not None:
            return
        self.end = end
        self.requested = True
        # A task that is cancelled before its first step never runs at all, and would keep its slot.
        if self.begun and self.subscriber.is_async and self.task is not None:
            self.task.cancel()

    def forsake(self) -> None:
        """Wait no longer for a plain function: the task ends, and the thread with what it does (F6)."""
        if self.begun and not self.subscriber.is_async and self.task is not None:
            self.task.cancel()

    async def run(self, threads: HandlerThreads) -> Happened:
        """Run the handler to its end, whatever it raises (F5), and say what happened."""
        if early := self.end:
            return early
        self.begun = True
        CURRENT_ATTEMPT.set(self)
        try:
            job = self._job()
        except PayloadError as error:
            return Unreadable(error)
        except Exception as error:
            return Unreadable(PayloadError(f"The stored job can't be read: {excerpt(error)}"))
        subscriber = self.subscriber
        seconds = subscriber.options.timeout
        timer = None
        if seconds is not None:
            timer = asyncio.get_running_loop().call_later(seconds, self.cancel, TimedOut(seconds))
        try:
            if subscriber.is_async:
                await cast("Awaitable[object]", subscriber.handler(job))
            else:
                raised = await _returned(threads.call(partial(_plain, subscriber.handler, job)))
                if raised is not None:  # An exception may well be falsy.
                    return self.end or Raised(raised)
        except BaseException as error:
            return self.end or Raised(error)
        finally:
            if timer is not None:
                timer.cancel()
        # A handler that finished although a stop had asked it to end has finished.
        return COMPLETED if self.end is None or isinstance(self.end, StoppedEarly) else self.end

    def _job(self) -> Job[Any]:
        claim = self.claim
        if claim.record_format != RECORD_FORMAT:
            check_format(claim.record_format)
        subscriber = self.subscriber
        return Job(
            claim.job_id,
            subscriber.codec.decode(claim.data),
            priority=claim.priority,
            enqueued_at=claim.enqueued_at,
            attempts=claim.attempts,
            queue=subscriber.queue,
            consumer_group=subscriber.group,
            metadata=decode_metadata(claim.metadata) if claim.metadata else NO_METADATA,
            cancellation=self,
        )


async def _returned(future: asyncio.Future[BaseException | None]) -> BaseException | None:
    # Whoever cancels this task ends the wait, never the thread.
    await asyncio.wait([future])
    return future.result()


def _plain(handler: Callable[[Job[Any]], object], job: Job[Any]) -> None:
    result = handler(job)
    if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            f"The handler {handler!r} is a plain function that returned {excerpt(result)}, which nobody "
            "would run; declare it with 'async def', and await what it calls"
        )


def decode_metadata(raw: bytes) -> Mapping[str, str]:
    """Read stored metadata; `PayloadError` where it isn't ours (X3)."""
    if not raw:
        return NO_METADATA
    try:
        metadata = from_json(raw)
    except Exception as error:
        raise PayloadError(f"The stored metadata {excerpt(raw)} is not JSON: {excerpt(error)}") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise PayloadError(f"The stored metadata {excerpt(raw)} is not a map of str to str")
    return metadata
