"""What people ask a queue, and do to its jobs and groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, get_args

from checkmate_queue.core.details import FailedJob, JobDetails, Lag
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.model import CancelResult, JobState, QueueStats
from checkmate_queue.core.payload import PayloadCodec
from checkmate_queue.core.validation import check_int, check_name
from checkmate_queue.queue.views import failed_job, job_details
from checkmate_queue.runtime.lag import LagWatch
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.store import Store

R = TypeVar("R")

MAX_PAGE = 10_000


class Inspection:
    """One queue's inspector and repair verbs, with users' arguments checked and records made readable."""

    def __init__(self, store: Store, queue: str, codec: PayloadCodec[Any], patience: float) -> None:
        self._store = store
        self._queue = queue
        self._codec = codec
        self._patience = patience

    async def stats(self) -> QueueStats:
        return await self._ask(lambda: self._store.stats(self._queue))

    async def lag(self, watch: LagWatch) -> Lag:
        pending = (await self.stats()).pending
        now = await self._ask(self._store.ping)
        watch.forget()
        state, thresholds = await self._ask(lambda: watch.observe(pending, now))
        return Lag(state.severity, pending, thresholds)

    async def job(self, job_id: str) -> JobDetails | None:
        check_name("job_id", job_id)
        record = await self._ask(lambda: self._store.job(self._queue, job_id))
        return None if record is None else job_details(record, self._codec)

    async def jobs(self, state: JobState | None, limit: int, after: str | None) -> list[JobDetails]:
        if state is not None and state not in get_args(JobState):
            raise InvalidArgumentError(f"state must be one of {', '.join(get_args(JobState))}, not {state!r}")
        check_int("limit", limit, 1, MAX_PAGE)
        key = 0
        if after is not None:
            record = await self._ask(lambda: self._store.job(self._queue, after))
            if record is None:
                raise InvalidArgumentError(
                    f"after must be the id of a job that is still in the queue, not {after!r}"
                )
            key = record.key
        records = await self._ask(lambda: self._store.jobs(self._queue, state, key, limit))
        return [job_details(record, self._codec) for record in records]

    async def failed(self, group: str | None, limit: int, after: str | None) -> list[FailedJob]:
        check_int("limit", limit, 1, MAX_PAGE)
        records = await self._ask(lambda: self._store.failed(self._queue, group, after or "", limit))
        return [failed_job(record, self._codec) for record in records]

    async def retry_failed(self, job_id: str, group: str | None) -> int:
        check_name("job_id", job_id)
        return await self._ask(lambda: self._store.retry_failed(self._queue, job_id, group))

    async def discard_failed(self, job_id: str | None, group: str | None) -> int:
        return await self._ask(lambda: self._store.discard_failed(self._queue, job_id, group))

    async def cancel(self, job_id: str) -> CancelResult:
        check_name("job_id", job_id)
        return await self._ask(lambda: self._store.cancel(self._queue, job_id))

    async def set_paused(self, paused: bool) -> None:
        await self._ask(lambda: self._store.set_paused(self._queue, paused))

    async def drop_group(self, group: str) -> bool:
        return await self._ask(lambda: self._store.drop_group(self._queue, group))

    async def rename_group(self, old: str, new: str) -> None:
        check_name("new group name", new)
        await self._ask(lambda: self._store.rename_group(self._queue, old, new))

    async def _ask(self, call: Callable[[], Awaitable[R]]) -> R:
        return await persevere(call, self._patience)
