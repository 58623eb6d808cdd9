"""What people look at. Reads only, in one statement each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.postgres.arguments import decoded
from checkmate_queue.backends.postgres.calls import Calls
from checkmate_queue.backends.postgres.statements import statement
from checkmate_queue.core.model import (
    FailedRecord,
    Failure,
    GroupRecord,
    GroupStats,
    JobRecord,
    JobState,
    QueueStats,
    WorkerRecord,
)
from checkmate_queue.core.validation import entry_number

if TYPE_CHECKING:
    from checkmate_queue.backends.postgres.connection import Row
    from checkmate_queue.core.model import Millis

_PAGE = 500
_NEVER = 1 << 62
_FURTHEST: tuple[JobState, ...] = ("processing", "pending", "retrying")


class Inspection(Calls):
    """The verbs of `Inspector`."""

    async def queues(self) -> list[str]:
        """See `Inspector.queues`."""
        return [row["name"] for row in await self._connections.rows(statement("queues", self._schema))]

    async def paused(self, queue: str) -> bool:
        """See `Inspector.paused`."""
        return bool((await self._connections.row(statement("paused", self._schema), queue))[0])

    async def stats(self, queue: str) -> QueueStats:
        """See `Inspector.stats`."""
        rows = await self._call_for_rows("stats", queue)
        now = await self._engine_time()
        groups = {row["name"]: _group_stats(row, now) for row in rows if row["name"] is not None}
        ages = [group.oldest_pending_seconds for group in groups.values()]
        return QueueStats(
            pending=sum(row["ready"] for row in rows),
            delayed=sum(row["delayed"] for row in rows),
            unclaimed=sum(row["unclaimed"] for row in rows),
            processing=sum(row["processing"] for row in rows),
            completed=sum(row["completed"] for row in rows),
            failed=sum(row["failed"] for row in rows),
            expired=sum(row["expired"] for row in rows),
            cancelled=sum(row["cancelled"] for row in rows),
            consumer_groups=len(groups),
            oldest_pending_seconds=max((age for age in ages if age is not None), default=None),
            groups=groups,
        )

    async def job(self, queue: str, job_id: str) -> JobRecord | None:
        """See `Inspector.job`."""
        rows = await self._jobs(queue, job_id, None, 0, 2)
        records = [record for row in sorted(rows, key=_is_occurrence) if (record := _record(row))]
        return records[0] if records else None

    async def jobs(
        self, queue: str, state: JobState | None = None, after: int = 0, limit: int = 100
    ) -> list[JobRecord]:
        """See `Inspector.jobs`."""
        found: list[JobRecord] = []
        while len(found) < limit:
            rows = await self._jobs(queue, None, state, after, _PAGE)
            if not rows:
                break
            records = [record for row in rows if (record := _record(row))]
            found += [r for r in records if state in (None, r.state) or state in r.groups.values()]
            after = rows[-1]["key"]
        return found[: max(0, limit)]

    async def failed(
        self, queue: str, group: str | None = None, after: str = "", limit: int = 100
    ) -> list[FailedRecord]:
        """See `Inspector.failed`."""
        before = entry_number(after, _NEVER)
        rows: list[Row] = []
        while len(rows) < limit:
            page = await self._call_for_rows("failed_entries", queue, group, before, limit - len(rows))
            if not page:
                break
            rows += page
            before = page[-1]["entry"]
        return [
            FailedRecord(
                entry_id=f"{row['entry']:016d}",
                job_id=row["id"],
                group=row["group_name"],
                data=row["data"],
                failure=Failure(
                    decoded(row["error_type"]), decoded(row["message"]), decoded(row["traceback"])
                ),
                attempts=row["attempts"],
                failed_at=row["failed_at"],
            )
            for row in rows
        ]

    async def groups(self, queue: str) -> list[GroupRecord]:
        """See `Inspector.groups`."""
        rows = await self._call_for_rows("groups", queue, self._now())
        return [GroupRecord(**row) for row in rows]

    async def workers(self, queue: str) -> list[WorkerRecord]:
        """See `Inspector.workers`."""
        rows = await self._call_for_rows("workers", queue, self._now())
        return [
            WorkerRecord(
                worker=row["worker"],
                epoch=row["number"],
                groups=tuple(row["groups"]),
                expires_at=row["expires_at"],
                processing=row["processing"],
                report=row["report"],
            )
            for row in rows
        ]

    async def _jobs(
        self, queue: str, job_id: str | None, state: JobState | None, after: int, limit: int
    ) -> list[Row]:
        return await self._call_for_rows(
            "jobs", queue, self._now(), self._unclaimed, job_id, state, after, limit
        )


def _group_stats(row: Row, now: Millis) -> GroupStats:
    return GroupStats(
        pending=row["ready"],
        delayed=row["delayed"],
        processing=row["processing"],
        completed=row["completed"],
        failed=row["failed"],
        expired=row["expired"],
        cancelled=row["cancelled"],
        oldest_pending_seconds=None if row["oldest"] is None else max(0, now - row["oldest"]) / 1000,
    )


def _is_occurrence(row: Row) -> bool:
    return bool(row["occurrence"])


def _record(row: Row) -> JobRecord | None:
    """A job with its state per group, its own being that of the group that is furthest on; None if ended."""
    if row["states"] is None:
        return None
    places: dict[str | None, JobState] = dict(zip(row["groups"], row["states"], strict=True))
    groups = {name: state for name, state in places.items() if name is not None}
    state = next((place for place in _FURTHEST if place in groups.values()), None)
    return JobRecord(
        key=row["key"],
        id=row["id"],
        data=row["data"],
        state=state or places[None],
        priority=row["priority"],
        enqueued_at=row["enqueued_at"],
        metadata=row["metadata"],
        due_at=row["due_at"],
        expires_at=row["expires_at"],
        groups=groups,
    )
