"""Consumers: what a handler is registered with, and the handle on it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from checkmate_queue.core.durations import seconds_or_none
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.job import Job
from checkmate_queue.core.lifecycle import RetryPolicy
from checkmate_queue.core.model import StartFrom
from checkmate_queue.core.payload import PayloadCodec
from checkmate_queue.core.retry import DEFAULT_BACKOFF, Backoff
from checkmate_queue.core.validation import check_int, check_name, check_seconds
from checkmate_queue.runtime.attempt import Subscriber, SubscriberOptions, is_generator_callable
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.runtime.worker import Worker


class ConsumerOptions(TypedDict, total=False):
    """The options of `Queue.consume` and `Queue.consumer`."""

    max_retries: int
    concurrency: int | None
    timeout: float | timedelta | None
    backoff: Backoff | None
    ephemeral: bool
    start_from: StartFrom
    on_rejoin: Callable[[], object] | None


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A checked call of `consume`, before the backend's defaults are known."""

    handler: Callable[[Job[Any]], object]
    consumer_group: str
    max_retries: int = 3
    concurrency: int | None = None
    timeout: float | timedelta | None = None
    backoff: Backoff | None = None
    ephemeral: bool = False
    start_from: StartFrom = "now"
    on_rejoin: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        check_name("consumer_group", self.consumer_group)
        check_int("max_retries", self.max_retries, 0, 2**31 - 1)
        check_seconds("timeout", self.timeout)
        if self.concurrency is not None:
            check_int("concurrency", self.concurrency, 1, 10_000)
        optional = {"backoff": self.backoff, "on_rejoin": self.on_rejoin}
        given = {name: value for name, value in optional.items() if value is not None}
        for name, value in {"handler": self.handler, **given}.items():
            if not callable(value):
                raise InvalidArgumentError(f"{name} must be callable, not {excerpt(value)}")
        if not _takes_a_job(self.handler):
            raise InvalidArgumentError(
                f"handler must take one argument, the job, as {excerpt(self.handler)} does not"
            )
        if is_generator_callable(self.handler):
            raise InvalidArgumentError(
                f"handler must not be a generator, as {excerpt(self.handler)} is by its 'yield'; "
                "calling it would run nothing"
            )
        if self.start_from not in ("now", "earliest"):
            raise InvalidArgumentError(
                f"start_from must be 'now' or 'earliest', not {excerpt(self.start_from)}"
            )
        if not isinstance(self.ephemeral, bool):
            raise InvalidArgumentError(f"ephemeral must be True or False, not {excerpt(self.ephemeral)}")

    def subscriber(self, queue: str, codec: PayloadCodec[Any], settings: RuntimeSettings) -> Subscriber:
        """What the runtime runs, with the backend's defaults filled in."""
        policy = RetryPolicy(self.max_retries, self.backoff or DEFAULT_BACKOFF, settings.delay_multiplier)
        options = SubscriberOptions(
            concurrency=self.concurrency,
            retry=policy,
            timeout=check_seconds("timeout", self.timeout),
            ephemeral=self.ephemeral,
            start_from=self.start_from,
            on_rejoin=self.on_rejoin,
        )
        return Subscriber(queue, self.consumer_group, self.handler, codec, options, settings)


class Consumer:
    """A running consumer, as `Queue.consume` returns it."""

    def __init__(self, worker: Worker, subscriber: Subscriber) -> None:
        self._worker = worker
        self._subscriber = subscriber

    @property
    def queue(self) -> str:
        return self._subscriber.queue

    @property
    def consumer_group(self) -> str:
        return self._subscriber.group

    @property
    def last_contact_at(self) -> datetime | None:
        """When it last exchanged with the backend or renewed its lease there, in aware UTC (L10)."""
        return self._worker.last_contact_at

    async def stop(self, unregister: bool = False, timeout: float | timedelta | None = None) -> None:
        """Take nothing new, wait for what runs, settle it and leave (L1); works from inside a handler.

        After `timeout` the rest is cancelled and given back. `unregister=True` removes the group with
        its last consumer: what still waits for it ends as expired.
        """
        seconds = seconds_or_none(timeout, name="timeout")
        await self._worker.unsubscribe(self._subscriber, unregister, seconds)

    def __repr__(self) -> str:
        return f"Consumer(queue={self.queue!r}, consumer_group={self.consumer_group!r})"


def _takes_a_job(handler: Callable[..., object]) -> bool:
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        return False
    except ValueError:
        pass  # A function in C may have no signature; calling it will tell.
    return True
