"""What people ask a queue, and do to its jobs and groups."""

from __future__ import annotations

from typing import TypeVar, get_args

from checkmate_queue.core.details import FailedJob, GroupDetails, JobDetails, Lag, WorkerDetails
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import CancelResult, JobState, QueueStats
from checkmate_queue.core.validation import check_int, check_name
from checkmate_queue.queue.base import QueueBase
from checkmate_queue.queue.views import failed_job, group_details, job_details, worker_details

T = TypeVar("T")

MAX_PAGE = 10_000


class Inspection(QueueBase[T]):
    """The queue's inspector and repair verbs, with arguments checked and records made readable."""

    async def get_stats(self) -> QueueStats:
        """The exact numbers of the queue, of all processes (L3)."""
        return await self._look(lambda runtime: runtime.store.stats(self.name))

    async def get_in_flight_count(self) -> int:
        """How many deliveries run now, in all processes."""
        return (await self.get_stats()).processing

    async def get_lag(self) -> Lag:
        """How far the queue is behind, by the thresholds that hold for all (L4)."""
        watch = (await self._attach()).lag
        now = await self._ask(lambda runtime: runtime.store.ping())
        pending = (await self.get_stats()).pending
        watch.forget()
        state, thresholds = await self._ask(lambda _: watch.observe(pending, now))
        return Lag(state.severity, pending, thresholds)

    async def test_connection(self) -> None:
        """Return if the backend answers, else raise `BackendUnavailableError` at once."""
        await (await self._attach()).runtime.store.ping()

    async def get_job(self, job_id: str) -> JobDetails | None:
        """The job of this id while it is in the queue, or None."""
        check_name("job_id", job_id)
        record = await self._look(lambda runtime: runtime.store.job(self.name, job_id))
        return None if record is None else job_details(record, self._codec)

    async def list_jobs(
        self, state: JobState | None = None, *, limit: int = 100, after: str | None = None
    ) -> list[JobDetails]:
        """Jobs in the queue, in `state` where given, the oldest first.

        `after` is the last id of the page before; `limit` is from 1 to 10,000.
        """
        if state is not None and state not in get_args(JobState):
            raise InvalidArgumentError(
                f"state must be one of {', '.join(get_args(JobState))}, not {excerpt(state)}"
            )
        check_int("limit", limit, 1, MAX_PAGE)
        key = 0 if after is None else await self._key_of(after)
        records = await self._look(lambda runtime: runtime.store.jobs(self.name, state, key, limit))
        return [job_details(record, self._codec) for record in records]

    async def _key_of(self, job_id: str) -> int:
        check_name("after", job_id)
        record = await self._look(lambda runtime: runtime.store.job(self.name, job_id))
        if record is None:
            raise InvalidArgumentError(
                f"after must be the id of a job that is still in the queue, not {excerpt(job_id)}"
            )
        return record.key

    async def list_failed(
        self, consumer_group: str | None = None, *, limit: int = 100, after: str | None = None
    ) -> list[FailedJob]:
        """Failed entries, the newest first (F4).

        `after` is the last `entry_id` of the page before; `limit` is from 1 to 10,000. Raises
        `InvalidArgumentError` for an `after` that is no entry's id.
        """
        _check_group(consumer_group)
        check_int("limit", limit, 1, MAX_PAGE)
        cursor = "" if after is None else check_name("after", after)
        records = await self._look(
            lambda runtime: runtime.store.failed(self.name, consumer_group, cursor, limit)
        )
        return [failed_job(record, self._codec) for record in records]

    async def retry_failed(self, job_id: str, consumer_group: str | None = None) -> int:
        """Make the newest failed entries of the id ready again, in their groups alone (F4); return how many.

        Raises `JobExistsError` while a job of this id lives; then nothing has changed.
        """
        check_name("job_id", job_id)
        _check_group(consumer_group)
        return await self._ask(lambda runtime: runtime.store.retry_failed(self.name, job_id, consumer_group))

    async def discard_failed(self, job_id: str | None = None, consumer_group: str | None = None) -> int:
        """Remove failed entries (all, or of that id and group); return how many."""
        if job_id is not None:
            check_name("job_id", job_id)
        _check_group(consumer_group)
        return await self._ask(
            lambda runtime: runtime.store.discard_failed(self.name, job_id, consumer_group)
        )

    async def cancel(self, job_id: str) -> CancelResult:
        """Remove what has not started or waits for a retry, and tell what runs to end (L12)."""
        check_name("job_id", job_id)
        return await self._ask(lambda runtime: runtime.store.cancel(self.name, job_id))

    async def pause(self) -> None:
        """Have no process claim anything; all else goes on (L11)."""
        await self._ask(lambda runtime: runtime.store.set_paused(self.name, True))

    async def resume(self) -> None:
        """End a pause."""
        await self._ask(lambda runtime: runtime.store.set_paused(self.name, False))

    async def is_paused(self) -> bool:
        """Whether the queue is paused, by whichever process (L11)."""
        return await self._look(lambda runtime: runtime.store.paused(self.name))

    async def list_groups(self) -> list[GroupDetails]:
        """The registered consumer groups by name (G1)."""
        records = await self._look(lambda runtime: runtime.store.groups(self.name))
        return [group_details(record) for record in records]

    async def list_workers(self) -> list[WorkerDetails]:
        """The workers of all processes that consume the queue now (G7)."""
        records = await self._look(lambda runtime: runtime.store.workers(self.name))
        return [worker_details(record) for record in records]

    async def drop_group(self, name: str) -> bool:
        """Remove a consumer group; what waits for it ends as expired. False if unknown.

        Raises `InvalidArgumentError` while it has live consumers (G4).
        """
        check_name("group name", name)
        return await self._ask(lambda runtime: runtime.store.drop_group(self.name, name))

    async def rename_group(self, old: str, new: str) -> None:
        """Rename a consumer group with all that waits for it.

        Raises `InvalidArgumentError` where `old` is unknown or has live consumers, or `new` exists (G4).
        """
        check_name("old group name", old)
        check_name("new group name", new)
        await self._ask(lambda runtime: runtime.store.rename_group(self.name, old, new))


def _check_group(consumer_group: str | None) -> None:
    if consumer_group is not None:
        check_name("consumer_group", consumer_group)
