"""What people do to jobs and groups."""

from __future__ import annotations

from checkmate_queue.backends.postgres.calls import Calls
from checkmate_queue.core.errors import InvalidArgumentError, JobExistsError
from checkmate_queue.core.model import CancelResult


class Repair(Calls):
    """The verbs of `Repair`."""

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """See `Repair.cancel`."""
        await self._collect(queue)
        row = await self._call("cancel", queue, self._now(), self._slot, self._unclaimed, job_id)
        return CancelResult(row["o_removed"], row["o_signalled"])

    async def set_paused(self, queue: str, paused: bool) -> None:
        """See `Repair.set_paused`."""
        await self._call("set_paused", queue, self._now(), paused)

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """See `Repair.retry_failed`."""
        await self._collect(queue)
        row = await self._call("retry_failed", queue, self._now(), self._slot, self._unclaimed, job_id, group)
        retried: int | None = row["o_retried"]
        if retried is None:
            raise JobExistsError(
                f"A job {job_id!r} is still in queue {queue!r}; it can be retried when that one has ended."
            )
        return retried

    async def discard_failed(self, queue: str, job_id: str | None = None, group: str | None = None) -> int:
        """See `Repair.discard_failed`."""
        row = await self._call("discard_failed", queue, self._now(), self._slot, job_id, group)
        discarded: int = row["o_discarded"]
        return discarded

    async def drop_group(self, queue: str, group: str) -> bool:
        """See `Repair.drop_group`."""
        row = await self._until_ready("drop_group", queue, self._now(), self._slot, self._unclaimed, group)
        status = row["o_status"]
        if status == "attended":
            raise _attended(queue, group)
        if status == "more":
            await self._repeat("purge", queue)
        return bool(status != "unknown")

    async def rename_group(self, queue: str, old: str, new: str) -> None:
        """See `Repair.rename_group`."""
        status = (await self._call("rename_group", queue, self._now(), old, new))["o_status"]
        if status == "unknown":
            raise InvalidArgumentError(f"Queue {queue!r} has no consumer group {old!r}; nothing to rename.")
        if status == "attended":
            raise _attended(queue, old)
        if status == "taken":
            raise InvalidArgumentError(
                f"Queue {queue!r} has a consumer group {new!r} already; choose a name that is free."
            )


def _attended(queue: str, group: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"Consumer group {group!r} of queue {queue!r} has live consumers; stop them first."
    )
