"""Bugs in schedules, repair, numbers, fences and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checkmate_queue.core.errors import JobExistsError
from checkmate_queue.core.model import (
    CancelResult,
    Epoch,
    FailedRecord,
    Firing,
    JobRecord,
    JobState,
    NewSchedule,
    Orders,
    QueueStats,
    Schedule,
    StoreLimits,
)
from checkmate_queue.store import BATCH, Clock
from tests.conformance.bugs.bug import Bug


class FiresAnyRevision(Bug):
    """Does not compare revisions."""

    rule = "R4"

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """Put in the revision that is stored."""
        stored = {schedule.spec.id: schedule for schedule in await self.schedules(queue)}
        known = [f for f in firings if f.schedule_id in stored]
        return await super().fire(
            queue, [replace(f, revision=stored[f.schedule_id].revision) for f in known]
        ) + [False] * (len(firings) - len(known))


class FiresAnyTime(Bug):
    """Does not compare due times."""

    rule = "R3"

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """Put in the due time that is stored, each time."""
        answers = []
        for firing in firings:
            stored = await self.schedules(queue, [firing.schedule_id])
            at = stored[0].next_at if stored else None
            answers += await super().fire(queue, [replace(firing, expected_at=at or 0)])
        return answers


class FiresAgain(Bug):
    """Reports a firing that came too late as done."""

    rule = "R3"

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """Lie."""
        return [True for _ in await super().fire(queue, firings)]


class AlwaysReplaces(Bug):
    """Starts a schedule anew whenever it is put."""

    rule = "R4"

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """Drop it first."""
        await self.drop_schedule(queue, spec.id)
        return await super().put_schedule(queue, spec)


class NeverReplaces(Bug):
    """Keeps the first definition."""

    rule = "R4"

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """Return what is there."""
        stored = await self.schedules(queue, [spec.id])
        return stored[0] if stored else await super().put_schedule(queue, spec)


class TimingAlwaysChanges(Bug):
    """Starts at the first due time whenever the definition changes."""

    rule = "R4"

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """Make the timing differ from the stored one."""
        stored = await self.schedules(queue, [spec.id])
        if stored and stored[0].spec.definition != spec.definition:
            await super().put_schedule(queue, replace(spec, definition="", timing=""))
        return await super().put_schedule(queue, spec)


class DropsWhatBeginsAlike(Bug):
    """Drops the schedules that a pattern matches."""

    rule = "R7"

    async def drop_schedule(self, queue: str, schedule_id: str) -> bool:
        """Drop by prefix."""
        for schedule in await self.schedules(queue):
            if schedule.spec.id.startswith(schedule_id + ":"):
                await super().drop_schedule(queue, schedule.spec.id)
        return await super().drop_schedule(queue, schedule_id)


class DropsDuringPages(Bug):
    """Lists a page too few: the schedule after the marker is left out."""

    rule = "R7"

    async def schedules(
        self, queue: str, ids: Sequence[str] | None = None, after: str = "", limit: int = BATCH
    ) -> list[Schedule]:
        """Skip one on later pages."""
        page = await super().schedules(queue, ids, after, limit)
        return page[1:] if after else page


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
