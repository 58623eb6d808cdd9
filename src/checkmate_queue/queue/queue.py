"""`Queue[T]`: what producers and consumers hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar

from checkmate_queue.core.details import FailedJob, JobDetails, Lag, RecurringJobDetails
from checkmate_queue.core.errors import InvalidArgumentError, QueueError, QueueStoppedError
from checkmate_queue.core.job import Enqueue, Job, JobId
from checkmate_queue.core.model import (
    Added,
    CancelResult,
    JobState,
    Misfire,
    NewJob,
    QueueStats,
    StartFrom,
    Unclaimed,
)
from checkmate_queue.core.payload import PayloadCodec
from checkmate_queue.core.retry import Backoff
from checkmate_queue.core.validation import check_name
from checkmate_queue.queue.consumer import Consumer, ConsumerSpec
from checkmate_queue.queue.inspection import Inspection
from checkmate_queue.queue.orders import new_job
from checkmate_queue.queue.recurring import Recurring
from checkmate_queue.queue.source import RuntimeSource
from checkmate_queue.runtime.attempt import inside_handler
from checkmate_queue.runtime.events import JobEnqueued
from checkmate_queue.runtime.lag import LagWatch
from checkmate_queue.runtime.outbox import Outbox
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.runtime.runtime import Runtime
from checkmate_queue.runtime.worker import Worker

log = logging.getLogger("checkmate_queue.queue")

T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., object])


class _Attached:
    """What a queue holds once it has a backend."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        settings = runtime.settings
        self.runtime = runtime
        self.outbox = Outbox(runtime.store, name, settings.patience_seconds)
        self.lag = LagWatch(runtime.store, name, runtime.hub)
        self.worker = Worker(
            runtime.store, name, settings, runtime.heart, runtime.threads, runtime.hub, self.lag
        )


class Queue(Generic[T]):
    """A named queue of jobs whose payload is a `T`; get it from `QueueManager.get_queue`.

    All its coroutines raise `BackendUnavailableError` when the backend can't be reached within the
    patience, and those that enqueue, consume or schedule `QueueStoppedError` once it was stopped.
    """

    def __init__(self, name: str, payload_type: Any, unclaimed: Unclaimed, source: RuntimeSource) -> None:
        self.name = check_name("queue name", name)
        if unclaimed not in ("hold", "drop"):
            raise InvalidArgumentError(f"unclaimed must be 'hold' or 'drop', not {unclaimed!r}")
        self.payload_type = payload_type
        self.unclaimed: Unclaimed = unclaimed
        self._codec: PayloadCodec[T] = PayloadCodec(payload_type)
        self._source = source
        self._attached: _Attached | None = None
        self._attaching = asyncio.Lock()
        self._stopped = False
        self._ended = False
        self._declared: list[ConsumerSpec] = []
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
    ) -> JobId:
        """Store a job and return its id; `created` on it is False for a duplicate (J7).

        `start_delay` and `expires_in` are seconds or a `timedelta`, counted from now. When it returns,
        the job is as durable as the backend (J3).

        Raises `PayloadError` (J2), `InvalidArgumentError` (J1, J4, J6, J9), `QueueFullError` (J8), and
        `BackendUnavailableError`, when it isn't known whether the job was stored; to repeat it with the
        same `job_id` is safe (J10).
        """
        attached = await self._open_for_work()
        job = self._new_job(attached, data, priority, start_delay, job_id, expires_in, metadata)
        return self._stored(attached, await attached.outbox.put((job,)))[0]

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
        """`enqueue` from any thread, plain handlers' too; on the event loop itself it raises `QueueError`."""
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
    ) -> list[JobId]:
        """Store jobs as one atomic batch, and return their ids in order.

        An item is the data, or an `Enqueue` with options of its own; the keywords are what holds where an
        item says nothing. Of equal ids in one batch the first counts. Raises as `enqueue`, and then nothing
        is stored.
        """
        attached = await self._open_for_work()
        jobs = []
        for item in items:
            each = item if isinstance(item, Enqueue) else Enqueue(item)
            jobs.append(
                self._new_job(
                    attached,
                    each.data,
                    priority if each.priority is None else each.priority,
                    start_delay if each.start_delay is None else each.start_delay,
                    job_id if each.job_id is None else each.job_id,
                    expires_in if each.expires_in is None else each.expires_in,
                    metadata if each.metadata is None else each.metadata,
                )
            )
        return self._stored(attached, await attached.outbox.put(jobs)) if jobs else []

    def _new_job(
        self,
        attached: _Attached,
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
        )

    def _stored(self, attached: _Attached, added: Sequence[Added]) -> list[JobId]:
        hub = attached.runtime.hub
        if hub.wants(JobEnqueued):
            for each in added:
                hub.emit(JobEnqueued(self.name, each.id, each.created))
        return [JobId(each.id, each.created) for each in added]

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

    async def start_declared(self) -> None:
        """Start the consumers that were declared by decorator, in one step (G2)."""
        declared, self._declared = self._declared, []
        if declared:
            try:
                await self._subscribe(declared)
            except BaseException:
                self._declared = declared + self._declared
                raise

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

    # -- recurring jobs --------------------------------------------------------------------------

    async def schedule_recurring(
        self,
        job_id: str,
        data: T,
        *,
        interval_seconds: float | None = None,
        cron_pattern: str | None = None,
        timezone: str = "UTC",
        start_delay: float | timedelta = 0,
        priority: int = 0,
        misfire: Misfire = "coalesce",
        overlap: bool = True,
    ) -> str:
        """Make a job again and again, and return `job_id`; the same definition again changes nothing (R4).

        Exactly one of `interval_seconds` (R1) and `cron_pattern` (5 fields, or 6 with seconds first, in the
        IANA `timezone`, R2). `start_delay` places the first run; `misfire` and `overlap` say what becomes
        of due times that were missed or overtaken (R5, R6).

        Raises `ScheduleError`, `PayloadError`, `InvalidArgumentError`; an old schedule then stays (R8).
        """
        attached = await self._open_for_work()
        recurring = self._recurring(attached)
        return await recurring.put(
            job_id,
            data,
            interval_seconds=interval_seconds,
            cron_pattern=cron_pattern,
            timezone=timezone,
            start_delay=start_delay,
            priority=priority,
            misfire=misfire,
            overlap=overlap,
        )

    async def cancel_recurring(self, job_id: str) -> bool:
        """Remove the schedule and its jobs that have not started; False for an unknown id (R7)."""
        return await self._recurring(await self._attach()).cancel(job_id)

    async def list_recurring_jobs(self) -> list[str]:
        """The ids of all schedules, sorted."""
        return await self._recurring(await self._attach()).ids()

    async def get_recurring_job_details(self, job_id: str) -> RecurringJobDetails | None:
        """The schedule of this id, or None."""
        return await self._recurring(await self._attach()).details(job_id)

    def _recurring(self, attached: _Attached) -> Recurring:
        runtime = attached.runtime
        return Recurring(
            runtime.store, self.name, self._codec, self.unclaimed, runtime.settings.delay_multiplier,
            runtime.settings.patience_seconds,
        )  # fmt: skip

    # -- looking and repairing -------------------------------------------------------------------

    async def get_stats(self) -> QueueStats:
        """The exact numbers of the queue, of all processes (L3)."""
        return await (await self._inspection()).stats()

    async def get_in_flight_count(self) -> int:
        """How many deliveries run now, in all processes."""
        return (await self.get_stats()).processing

    async def get_lag(self) -> Lag:
        """How far the queue is behind, by the thresholds that hold for all (L4)."""
        attached = await self._attach()
        return await (await self._inspection()).lag(attached.lag)

    async def test_connection(self) -> None:
        """Return if the backend answers, else raise `BackendUnavailableError`."""
        await (await self._attach()).runtime.store.ping()

    async def get_job(self, job_id: str) -> JobDetails | None:
        """The job of this id while it is in the queue, or None."""
        return await (await self._inspection()).job(job_id)

    async def list_jobs(
        self, state: JobState | None = None, *, limit: int = 100, after: str | None = None
    ) -> list[JobDetails]:
        """Jobs in the queue, in `state` where given, the oldest first.

        `after` is the last id of the page before.
        """
        return await (await self._inspection()).jobs(state, limit, after)

    async def list_failed(
        self, consumer_group: str | None = None, *, limit: int = 100, after: str | None = None
    ) -> list[FailedJob]:
        """Failed entries, the newest first (F4); `after` is the last `entry_id` of the page before."""
        return await (await self._inspection()).failed(consumer_group, limit, after)

    async def retry_failed(self, job_id: str, consumer_group: str | None = None) -> int:
        """Make the newest failed entries of the id ready again, in their groups alone (F4); return how many.

        Raises `JobExistsError` while a job of this id lives; then nothing has changed.
        """
        return await (await self._inspection()).retry_failed(job_id, consumer_group)

    async def discard_failed(self, job_id: str | None = None, consumer_group: str | None = None) -> int:
        """Remove failed entries (all, or of that id and group); return how many."""
        return await (await self._inspection()).discard_failed(job_id, consumer_group)

    async def cancel(self, job_id: str) -> CancelResult:
        """Remove what has not started or waits for a retry, and tell what runs to end (L12)."""
        return await (await self._inspection()).cancel(job_id)

    async def pause(self) -> None:
        """Have no process claim anything; all else goes on (L11)."""
        await (await self._inspection()).set_paused(True)

    async def resume(self) -> None:
        """End a pause."""
        await (await self._inspection()).set_paused(False)

    async def drop_group(self, name: str) -> bool:
        """Remove a consumer group; what waits for it ends as expired. False if unknown.

        Raises `InvalidArgumentError` while it has live consumers (G4).
        """
        return await (await self._inspection()).drop_group(name)

    async def rename_group(self, old: str, new: str) -> None:
        """Rename a consumer group with all that waits for it.

        Raises `InvalidArgumentError` where `old` is unknown or has live consumers, or `new` exists (G4).
        """
        await (await self._inspection()).rename_group(old, new)

    async def _inspection(self) -> Inspection:
        runtime = (await self._attach()).runtime
        return Inspection(runtime.store, self.name, self._codec, runtime.settings.patience_seconds)

    # -- the end ---------------------------------------------------------------------------------

    async def stop(self, timeout: float | None = None) -> None:
        """Stop this process's part of the queue: wait for running handlers, settle them, leave (L1).

        With `timeout`, in seconds, what still runs then is cancelled and given back to the front. Calling it
        again, or from inside a handler, works.
        """
        self._stopped = True
        self._source.forget(self)
        if self._attached is not None:
            await self._attached.outbox.drained()
            await self._attached.worker.stop(timeout)
        self._ended = not self.runs_caller()

    def runs_caller(self) -> bool:
        """Whether the caller is one of this queue's handlers."""
        return self._attached is not None and self._attached.worker.runs_caller()

    async def ended(self) -> None:
        """Wait for what a stop from inside a handler left to be done."""
        if self._attached is not None:
            await self._attached.worker.ended()
        self._ended = True

    @property
    def stopped(self) -> bool:
        return self._stopped

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

    async def _open_for_work(self) -> _Attached:
        self._check_open()
        return await self._attach()

    async def _attach(self) -> _Attached:
        self._source.check_caller()
        if self._attached is not None:
            return self._attached
        async with self._attaching:
            if self._attached is None:
                runtime = await self._source.runtime()
                self._codec.max_bytes = runtime.max_payload_bytes
                await persevere(lambda: runtime.store.register(self.name), runtime.settings.patience_seconds)
                self._attached = _Attached(runtime, self.name)
        return self._attached
