"""What a handler receives, and what `enqueue` takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Generic, TypeVar

from checkmate_queue.core.model import Millis

T = TypeVar("T")

NO_METADATA: Mapping[str, str] = MappingProxyType({})


def as_datetime(at: Millis) -> datetime:
    """An engine's time as an aware UTC datetime."""
    return datetime.fromtimestamp(at / 1000, UTC)


class JobId(str):
    """The id of a job; `created` is False if a job of this id was in the queue already (J7).

    It is None for one that was enqueued within a transaction: that is decided after the commit.
    """

    __slots__ = ("created",)

    created: bool | None

    def __new__(cls, value: str, created: bool | None = True) -> JobId:
        self = super().__new__(cls, value)
        self.created = created
        return self

    def __reduce__(self) -> tuple[type[JobId], tuple[str, bool | None]]:
        return JobId, (str(self), self.created)


@dataclass(frozen=True, slots=True)
class Enqueue(Generic[T]):
    """One item of `enqueue_many` with options of its own; what is None takes the call's keyword."""

    data: T
    priority: int | None = None
    start_delay: float | timedelta | None = None
    job_id: str | None = None
    expires_in: float | timedelta | None = None
    metadata: Mapping[str, str] | None = None


class Cancellation:
    """A flag that a running handler can read from any thread."""

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False


class Job(Generic[T]):
    """One delivery, as its handler sees it. Immutable.

    `id`; `data` as the queue's payload type; `priority`; `timestamp`, the aware UTC time of the enqueue;
    `attempts`, how many attempts failed so far in this group (0 on the first); `queue`;
    `consumer_group`; `metadata`; `cancelled`, whether the attempt should end (timeout, `cancel`, lost
    lease, stop): a plain function has to look (F6).
    """

    # Slots and properties rather than a frozen dataclass: this is built once for each delivery, and a
    # frozen __init__ takes five times as long.
    __slots__ = (
        "_attempts",
        "_cancellation",
        "_consumer_group",
        "_data",
        "_enqueued_at",
        "_id",
        "_metadata",
        "_priority",
        "_queue",
    )

    def __init__(
        self,
        id: str,
        data: T,
        *,
        priority: int = 0,
        enqueued_at: Millis = 0,
        attempts: int = 0,
        queue: str = "",
        consumer_group: str = "",
        metadata: Mapping[str, str] = NO_METADATA,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._id = id
        self._data = data
        self._priority = priority
        self._enqueued_at = enqueued_at
        self._attempts = attempts
        self._queue = queue
        self._consumer_group = consumer_group
        self._metadata = metadata
        self._cancellation = cancellation

    @property
    def id(self) -> str:
        return self._id

    @property
    def data(self) -> T:
        return self._data

    @property
    def priority(self) -> int:
        return self._priority

    @property
    def timestamp(self) -> datetime:
        return as_datetime(self._enqueued_at)

    @property
    def attempts(self) -> int:
        return self._attempts

    @property
    def queue(self) -> str:
        return self._queue

    @property
    def consumer_group(self) -> str:
        return self._consumer_group

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    @property
    def cancelled(self) -> bool:
        return self._cancellation is not None and self._cancellation.requested

    def __repr__(self) -> str:
        return (
            f"Job(id={self._id!r}, queue={self._queue!r}, consumer_group={self._consumer_group!r}, "
            f"priority={self._priority}, attempts={self._attempts})"
        )
