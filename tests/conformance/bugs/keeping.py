"""Bugs in repair, numbers, fences and settings."""

from __future__ import annotations

from dataclasses import replace

from checkmate_queue.core.errors import JobExistsError
from checkmate_queue.core.model import (
    CancelResult,
    Epoch,
    FailedRecord,
    JobRecord,
    JobState,
    Orders,
    QueueStats,
    StoreLimits,
    WorkerRecord,
)
from checkmate_queue.store import Clock, Setting
from tests.conformance.bugs.bug import Bug


class StartsEmpty(Bug):
    """Makes a queue anew whenever it is registered."""

    rule = "J3"

    async def register(self, queue: str) -> None:
        """Forget it first."""
        self._queues.pop(queue, None)
        await super().register(queue)


class KeepsNoReport(Bug):
    """Shows workers without their last report."""

    rule = "L10"

    async def workers(self, queue: str) -> list[WorkerRecord]:
        """Take it out."""
        return [replace(worker, report=b"") for worker in await super().workers(queue)]


class CountsVersionsFromZero(Bug):
    """Counts the versions of a setting from 0."""

    rule = "B5"

    async def load_setting(self, key: str) -> Setting | None:
        """One less."""
        stored = await super().load_setting(key)
        return stored and stored._replace(version=stored.version - 1)


class IgnoresPause(Bug):
    """Claims from a paused queue."""

    rule = "L11"

    async def set_paused(self, queue: str, paused: bool) -> None:
        """Do nothing."""


class PausesAll(Bug):
    """Pauses every queue."""

    rule = "L11"

    async def set_paused(self, queue: str, paused: bool) -> None:
        """Pause them all."""
        for name in await self.queues():
            await super().set_paused(name, paused)


class CancelsOnlyWhatWaits(Bug):
    """Tells no running delivery."""

    rule = "L12"

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """Leave a job alone of which anything runs."""
        record = await self.job(queue, job_id)
        if record is not None and record.state == "processing":
            return CancelResult(0, 0)
        return await super().cancel(queue, job_id)


class TellsNoHeartbeat(Bug):
    """Tells of cancelled claims in exchanges only."""

    rule = "L12"

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """Keep it to itself."""
        await super().heartbeat(epoch, report)
        return Orders([])


class SignalsOnce(Bug):
    """Counts running deliveries that were told before no more."""

    rule = "L12"

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """Remember who was told."""
        told: set[str] = vars(self).setdefault("_told", set())
        result = await super().cancel(queue, job_id)
        again = job_id in told
        told.add(job_id)
        return replace(result, signalled=0) if again else result


class RetriesOverTheLiving(Bug):
    """Retries nothing, quietly, where a job of that id lives."""

    rule = "F4"

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """Swallow the error."""
        try:
            return await super().retry_failed(queue, job_id, group)
        except JobExistsError:
            return 0


class RetriesEveryGroup(Bug):
    """Ignores the group that is to be retried."""

    rule = "F4"

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """Retry all."""
        return await super().retry_failed(queue, job_id)


class DiscardsTooMuch(Bug):
    """Ignores the group whose entries are to be discarded."""

    rule = "F4"

    async def discard_failed(self, queue: str, job_id: str | None = None, group: str | None = None) -> int:
        """Discard all."""
        return await super().discard_failed(queue, job_id)


class OldestFailuresFirst(Bug):
    """Lists failed entries the wrong way round."""

    rule = "F4"

    async def failed(
        self, queue: str, group: str | None = None, after: str = "", limit: int = 100
    ) -> list[FailedRecord]:
        """Turn the page round."""
        return (await super().failed(queue, group, after, limit))[::-1]


class KeepsAllFailures(Bug):
    """Keeps every failed entry."""

    rule = "F4"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        keep = replace(limits or StoreLimits(), failed_retention_count=10**9, failed_retention_ms=10**15)
        super().__init__(keep, clock)


class DropsAnyGroup(Bug):
    """Says that it dropped a group that it does not know."""

    rule = "G4"

    async def drop_group(self, queue: str, group: str) -> bool:
        """Lie."""
        await super().drop_group(queue, group)
        return True


class RenamesByCopy(Bug):
    """Loses what waits in a group when it is renamed."""

    rule = "G4"

    async def rename_group(self, queue: str, old: str, new: str) -> None:
        """Start the new group empty."""
        await super().rename_group(queue, old, new)
        for record in await self.jobs(queue, "pending"):
            if new in record.groups:
                await self.cancel(queue, record.id)


class ForgetsDroppedGroups(Bug):
    """Sums the totals of a queue over the groups that exist."""

    rule = "L3"

    async def stats(self, queue: str) -> QueueStats:
        """Sum again."""
        stats = await super().stats(queue)
        return replace(stats, completed=sum(group.completed for group in stats.groups.values()))


class CountsUnclaimedAsPending(Bug):
    """Counts unclaimed jobs as ready ones."""

    rule = "G2"

    async def stats(self, queue: str) -> QueueStats:
        """Add them up."""
        stats = await super().stats(queue)
        return replace(stats, pending=stats.pending + stats.unclaimed)


class CountsRetriesOnlyInGroups(Bug):
    """Leaves waiting retries out of the queue's own number."""

    rule = "L3"

    async def stats(self, queue: str) -> QueueStats:
        """Take them out."""
        stats = await super().stats(queue)
        retries = sum(group.delayed for group in stats.groups.values())
        return replace(stats, delayed=stats.delayed - retries)


class Ageless(Bug):
    """Tells no age of what waits."""

    rule = "L3"

    async def stats(self, queue: str) -> QueueStats:
        """Say 0."""
        stats = await super().stats(queue)
        age = None if stats.oldest_pending_seconds is None else 0.0
        return replace(stats, oldest_pending_seconds=age)


class ListsByMainState(Bug):
    """Lists a job under one of its states only."""

    rule = "L3"

    async def jobs(
        self, queue: str, state: JobState | None = None, after: int = 0, limit: int = 100
    ) -> list[JobRecord]:
        """Leave out what has another state besides."""
        found = await super().jobs(queue, state, after, limit)
        return [record for record in found if state in (None, record.state)]


class OpenRegistry(Bug):
    """Takes new queues although the registry is fenced."""

    rule = "B3"

    async def fence(self, queue: str | None, successor: str) -> None:
        """Fence queues only."""
        if queue is not None:
            await super().fence(queue, successor)


class FirstSuccessorStays(Bug):
    """Keeps the successor of the first fence."""

    rule = "B3"

    async def fence(self, queue: str | None, successor: str) -> None:
        """Fence once."""
        first: dict[str | None, str] = vars(self).setdefault("_first", {})
        await super().fence(queue, first.setdefault(queue, successor))


class HeartbeatsPastTheFence(Bug):
    """Renews leases in a fenced queue."""

    rule = "B3"

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """Open the fence for it."""
        state = self._queues[epoch.queue]
        successor, state.successor = state.successor, None
        try:
            return await super().heartbeat(epoch, report)
        finally:
            state.successor = successor


class LastWriterWins(Bug):
    """Saves settings without comparing versions."""

    rule = "B6"

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """Put in the version that is stored."""
        stored = await self.load_setting(key)
        return await super().save_setting(key, value, stored.version if stored else 0)


class OddKeysCollide(Bug):
    """Keeps settings under trimmed keys."""

    rule = "X1"

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """Trim."""
        return await super().save_setting(key.strip(), value, expected_version)
