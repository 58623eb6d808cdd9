"""`Queue[T]`: what producers and consumers hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from checkmate_queue.core.errors import QueueError
from checkmate_queue.core.job import Enqueue, Job, JobId
from checkmate_queue.core.model import NewJob, StartFrom, Unclaimed
from checkmate_queue.core.retry import Backoff
from checkmate_queue.queue.base import Attached
from checkmate_queue.queue.consumer import Consumer, ConsumerSpec
from checkmate_queue.queue.inspection import Inspection
from checkmate_queue.queue.orders import new_job
from checkmate_queue.queue.recurring import Recurring
from checkmate_queue.queue.source import RuntimeSource
from checkmate_queue.runtime.events import JobEnqueued
from checkmate_queue.runtime.outbox import full_error

log = logging.getLogger("checkmate_queue.queue")

T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., object])

_BYTES_IN_A_ROW: Final = 64 * 1024
"""How much `enqueue_many` encodes before others of its loop get their turn: a few milliseconds' worth."""

_LEAST_BYTES: Final = 256
"""What a job counts for beside its data."""


class Queue(Recurring[T], Inspection[T]):
    """A named queue of jobs whose payload is a `T`; get it from `QueueManager.get_queue`.

    All its coroutines raise `BackendUnavailableError` when the backend can't be reached within the
    patience, and those that enqueue, consume or schedule `QueueStoppedError` once it was stopped.
    """

    def __init__(self, name: str, payload_type: Any, unclaimed: Unclaimed, source: RuntimeSource) -> None:
        super().__init__(name, payload_type, unclaimed, source)
        self._declared: list[ConsumerSpec] = []
        self._begun: list[tuple[ConsumerSpec, Consumer]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the way in ------------------------------------------------------------------------------

    async def enqueue(
        self,
        data: T,
        *,
        priority: int = 0,
        start_delay: float | timedelta = 0,
        job_id: str | None = None,
        expires_in: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
        connection: object | None = None,
    ) -> JobId:
        """Store a job and return its id; `created` on it is False for a duplicate (J7).

        `start_delay` and `expires_in` are seconds or a `timedelta`, counted from now. When it returns,
        the job is as durable as the backend (J3).

        With `connection` the job exists if and only if the transaction that this connection is in commits
        (PostgreSQL): an asyncpg connection, a psycopg `AsyncConnection`, or SQLAlchemy's `AsyncSession` or
        `AsyncConnection` over one of these. The commit decides what is a duplicate and which groups get the
        job, so `created` is None. `ConfigError` is raised where the backend can't do it, or the connection
        leads to another database; what the connection itself raises comes as it is.

        Raises `PayloadError` (J2), `InvalidArgumentError` (J1, J4, J6, J9), `QueueFullError` (J8), and
        `BackendUnavailableError`, when it isn't known whether the job was stored; to repeat it with the
        same `job_id` is safe (J10).
        """
        attached = await self._open_for_work()
        job = self._new_job(attached, data, priority, start_delay, job_id, expires_in, metadata)
        return (await self._put(attached, (job,), connection))[0]

    def enqueue_sync(
        self,
        data: T,
        *,
        priority: int = 0,
        start_delay: float | timedelta = 0,
        job_id: str | None = None,
        expires_in: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> JobId:
        """`enqueue` from any thread, plain handlers' too; on the event loop itself it raises `QueueError`.

        There is no `connection`: a transaction belongs to the thread that uses it.
        """
        loop = self._source.loop_from_thread()
        call = self.enqueue(
            data,
            priority=priority,
            start_delay=start_delay,
            job_id=job_id,
            expires_in=expires_in,
            metadata=metadata,
        )
        return asyncio.run_coroutine_threadsafe(call, loop).result()

    async def enqueue_many(
        self,
        items: Iterable[T | Enqueue[T]],
        *,
        priority: int = 0,
        start_delay: float | timedelta = 0,
        job_id: str | None = None,
        expires_in: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
        connection: object | None = None,
    ) -> list[JobId]:
        """Store jobs as one atomic batch, and return their ids in order.

        An item is the data, or an `Enqueue` with options of its own; the keywords are what holds where an
        item says nothing. Of equal ids in one batch the first counts. `connection` as for `enqueue`. Raises
        as `enqueue`, and then nothing is stored.

        Large batches let other tasks run while they are encoded, so leave `items` as it is meanwhile. The
        backend stores the batch in one transaction, for which others may have to wait: on SQLite every other
        writer, of all processes. Up to 10,000 jobs a call that is well below a second; what need not be
        atomic is better enqueued in several calls of such a size.
        """
        attached = await self._open_for_work()
        jobs: list[NewJob] = []
        encoded = 0
        for item in items:
            each = item if isinstance(item, Enqueue) else Enqueue(item)
            job = self._new_job(
                attached,
                each.data,
                priority if each.priority is None else each.priority,
                start_delay if each.start_delay is None else each.start_delay,
                job_id if each.job_id is None else each.job_id,
                expires_in if each.expires_in is None else each.expires_in,
                metadata if each.metadata is None else each.metadata,
            )
            jobs.append(job)
            encoded += _LEAST_BYTES + len(job.data)
            if encoded >= _BYTES_IN_A_ROW:
                encoded = 0
                await asyncio.sleep(0)
        if not jobs:
            return []
        # The queue may have been stopped meanwhile.
        return await self._put(await self._open_for_work(), jobs, connection)

    def _new_job(
        self,
        attached: Attached,
        data: object,
        priority: int,
        start_delay: float | timedelta,
        job_id: str | None,
        expires_in: float | timedelta | None,
        metadata: Mapping[str, str] | None,
    ) -> NewJob:
        return new_job(
            self._codec.encode(data),
            priority=priority,
            start_delay=start_delay,
            job_id=job_id,
            expires_in=expires_in,
            metadata=metadata,
            unclaimed=self.unclaimed,
            multiplier=attached.runtime.settings.delay_multiplier,
            clock_step_ms=attached.runtime.settings.clock_step_ms,
        )

    async def _put(
        self, attached: Attached, jobs: Sequence[NewJob], connection: object | None
    ) -> list[JobId]:
        if connection is not None:
            # No event: what becomes of these jobs is decided elsewhere, if they come to be at all.
            refused = await attached.runtime.store.add_within(connection, self.name, jobs)
            if refused is not None:
                raise full_error(self.name, refused)
            return [JobId(job.id, None) for job in jobs]
        added = await attached.outbox.put(jobs)
        # One without a token has an id of our own making: a duplicate is our own call repeated (J10).
        ids = [JobId(each.id, each.created or not job.token) for job, each in zip(jobs, added, strict=True)]
        hub = attached.runtime.hub
        if hub.wants(JobEnqueued):
            for job_id in ids:
                hub.emit(JobEnqueued(self.name, job_id, bool(job_id.created)))
        return ids

    # -- the way out -----------------------------------------------------------------------------

    async def consume(
        self,
        handler: Callable[[Job[T]], object],
        *,
        consumer_group: str,
        max_retries: int = 3,
        concurrency: int | None = None,
        timeout: float | timedelta | None = None,
        backoff: Backoff | None = None,
        ephemeral: bool = False,
        start_from: StartFrom = "now",
        on_rejoin: Callable[[], object] | None = None,
    ) -> Consumer:
        """Register the group (G1, G4) and run `handler(job)` for its deliveries.

        An `async def` handler runs on the event loop, a plain function on a thread.

        `concurrency` bounds what this consumer runs at once (default: the backend's, G10); `timeout` is in
        seconds, per attempt (F1); `backoff` gives the seconds before a retry (F2, `Fixed`, `Exponential`,
        or a function of retry number and error); `on_rejoin()` is called when an ephemeral group had been
        dropped and was joined again (G4).

        Raises `InvalidArgumentError`.
        """
        spec = ConsumerSpec(
            handler,
            consumer_group,
            max_retries,
            concurrency,
            timeout,
            backoff,
            ephemeral,
            start_from,
            on_rejoin,
        )
        return (await self._subscribe([spec]))[0]

    def consumer(self, consumer_group: str, **options: Any) -> Callable[[H], H]:
        """Decorator: register a handler now, to be started with the manager; options as of `consume`.

        Raises `InvalidArgumentError`.
        """

        def declare(handler: H) -> H:
            spec = ConsumerSpec(handler, consumer_group, **options)
            self._check_open()
            if self._source.consuming:
                self._source.call_on_loop(self._begin, spec)
            else:
                self._declared.append(spec)
            return handler

        return declare

    def get_consumers(self) -> list[Consumer]:
        """The consumers that run in this process now; may be called from any thread."""
        worker = self.worker
        return [] if worker is None else [Consumer(worker, each) for each in worker.subscribers]

    @property
    def declared_groups(self) -> list[str]:
        """The groups of the consumers that were declared and have not been started."""
        return [spec.consumer_group for spec in self._declared]

    @property
    def declared(self) -> Sequence[ConsumerSpec]:
        """The consumers that were declared and have not been started."""
        return tuple(self._declared)

    @property
    def has_declared(self) -> bool:
        """Whether consumers wait for the manager's start."""
        return bool(self._declared)

    async def start_declared(self) -> None:
        """Start the consumers that were declared by decorator, in one step (G2)."""
        declared, self._declared = self._declared, []
        if declared:
            try:
                self._begun += zip(declared, await self._subscribe(declared), strict=True)
            except BaseException:
                self._declared = declared + self._declared
                raise

    async def withdraw_declared(self) -> None:
        """Stop what `start_declared` has begun, and declare it again."""
        begun, self._begun = self._begun, []
        await asyncio.gather(*(consumer.stop(timeout=0) for _, consumer in begun))
        self._declared = [spec for spec, _ in begun] + self._declared

    def rewind(self, declared: Sequence[ConsumerSpec]) -> None:
        """Be as never started, with these consumers declared; the manager's run has ended."""
        self._detach()
        self._declared, self._begun, self._tasks = list(declared), [], set()

    @property
    def starting(self) -> bool:
        """Whether a consumer that was declared after the start has not begun yet."""
        return bool(self._tasks)

    def _begin(self, spec: ConsumerSpec) -> None:
        task = asyncio.get_running_loop().create_task(self._begin_logged(spec))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin_logged(self, spec: ConsumerSpec) -> None:
        try:
            await self._subscribe([spec])
        except QueueError:
            log.exception("%s/%s: the consumer could not start", self.name, spec.consumer_group)

    async def _subscribe(self, specs: Sequence[ConsumerSpec]) -> list[Consumer]:
        attached = await self._open_for_work()
        settings = attached.runtime.settings
        subscribers = [spec.subscriber(self.name, self._codec, settings) for spec in specs]
        await attached.worker.subscribe(subscribers)
        return [Consumer(attached.worker, subscriber) for subscriber in subscribers]
