"""Bugs on the way in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checkmate_queue.core.model import Added, NewJob, QueueFull, StoreLimits
from checkmate_queue.store import Clock
from tests.conformance.bugs.bug import Bug

Units = Sequence[Sequence[NewJob]]
Answers = list[list[Added] | QueueFull]


class Altered(Bug):
    """Stores other jobs than it was given."""

    rule = ""

    def alter(self, job: NewJob) -> NewJob:
        """What is stored instead."""
        raise NotImplementedError

    async def add(self, queue: str, units: Units) -> Answers:
        """Add what was altered."""
        return await super().add(queue, [[self.alter(job) for job in unit] for unit in units])


class LowerFirst(Altered):
    """Starts low priorities first."""

    rule = "J4"

    def alter(self, job: NewJob) -> NewJob:
        """Turn priorities round."""
        return job._replace(priority=-job.priority)


class SmallPriorities(Altered):
    """Keeps priorities in 16 bits."""

    rule = "J4"

    def alter(self, job: NewJob) -> NewJob:
        """Clamp."""
        return job._replace(priority=max(-(2**15), min(2**15 - 1, job.priority)))


class Early(Altered):
    """Starts delayed jobs a millisecond early."""

    rule = "J6"

    def alter(self, job: NewJob) -> NewJob:
        """Shorten the delay."""
        return job._replace(delay_ms=max(job.delay_ms - 1, 0))


class WholeSeconds(Altered):
    """Rounds delays down to seconds, as if a column had no fractions."""

    rule = "J5"

    def alter(self, job: NewJob) -> NewJob:
        """Round."""
        return job._replace(delay_ms=job.delay_ms // 1000 * 1000)


class Text(Altered):
    """Keeps payloads as text that ends at a NUL."""

    rule = "J2"

    def alter(self, job: NewJob) -> NewJob:
        """Cut."""
        return job._replace(data=job.data.split(b"\0")[0])


class Undying(Altered):
    """Forgets expiries."""

    rule = "J9"

    def alter(self, job: NewJob) -> NewJob:
        """Forget."""
        return job._replace(expires_ms=None)


class ExpiryAfterDelay(Altered):
    """Counts the expiry from the due time."""

    rule = "J9"

    def alter(self, job: NewJob) -> NewJob:
        """Prolong."""
        return job._replace(expires_ms=job.expires_ms + job.delay_ms) if job.expires_ms else job


class Tokenless(Altered):
    """Does not know its own repeated calls."""

    rule = "J10"

    def alter(self, job: NewJob) -> NewJob:
        """Forget."""
        return job._replace(token="")


class OneToken(Altered):
    """Takes every caller for the same."""

    rule = "J10"

    def alter(self, job: NewJob) -> NewJob:
        """Give all the same token."""
        return job._replace(token="token")


class DropsUnclaimed(Altered):
    """Keeps nothing for the first group."""

    rule = "G2"

    def alter(self, job: NewJob) -> NewJob:
        """Drop."""
        return job._replace(unclaimed="drop")


class HoldsAnnouncements(Altered):
    """Keeps announcements that nobody hears."""

    rule = "G2"

    def alter(self, job: NewJob) -> NewJob:
        """Hold."""
        return job._replace(unclaimed="hold")


class FoldedIds(Altered):
    """Does not tell `a` from `A`."""

    rule = "J1"

    def alter(self, job: NewJob) -> NewJob:
        """Fold."""
        return job._replace(id=job.id.lower())


class QuotedIds(Altered):
    """Doubles quotes that a driver had quoted already."""

    rule = "J1"

    def alter(self, job: NewJob) -> NewJob:
        """Quote."""
        return job._replace(id=job.id.replace("'", "''"))


class TakesDelayedIds(Bug):
    """Looks for duplicates among ready jobs alone."""

    rule = "J7"

    async def add(self, queue: str, units: Units) -> Answers:
        """Remove delayed namesakes first."""
        for unit in units:
            for job in unit:
                living = await self.job(queue, job.id) if queue in await self.queues() else None
                if living is not None and living.state == "delayed":
                    await self.cancel(queue, job.id)
        return await super().add(queue, units)


class TakesRetriedIds(Bug):
    """Does not see deliveries that wait for a retry when it looks for duplicates."""

    rule = "J7"

    async def add(self, queue: str, units: Units) -> Answers:
        """Remove namesakes that wait for a retry first."""
        for unit in units:
            for job in unit:
                living = await self.job(queue, job.id) if queue in await self.queues() else None
                if living is not None and living.state == "retrying":
                    await self.cancel(queue, job.id)
        return await super().add(queue, units)


class LastCounts(Bug):
    """Of equal ids in one unit it keeps the last."""

    rule = "J7"

    async def add(self, queue: str, units: Units) -> Answers:
        """Turn units round."""
        answers = await super().add(queue, [list(reversed(unit)) for unit in units])
        return [answer if isinstance(answer, QueueFull) else answer[::-1] for answer in answers]


class AlwaysCreated(Bug):
    """Answers duplicates as created."""

    rule = "J7"

    async def add(self, queue: str, units: Units) -> Answers:
        """Lie."""
        answers = await super().add(queue, units)
        return [
            answer if isinstance(answer, QueueFull) else [added._replace(created=True) for added in answer]
            for answer in answers
        ]


class OneNameSpace(Bug):
    """Takes a schedule's job for a duplicate of a user's."""

    rule = "R3"

    async def add(self, queue: str, units: Units) -> Answers:
        """Look everywhere."""
        if queue in await self.queues():
            living = [[await self.job(queue, job.id) for job in unit] for unit in units]
            if any(record for unit in living for record in unit):
                return [[Added(job.id, False) for job in unit] for unit in units]
        return await super().add(queue, units)


class Unlimited(Bug):
    """Is never full."""

    rule = "J8"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        super().__init__(replace(limits or StoreLimits(), max_queue_size=None), clock)


class StoresWhatFits(Bug):
    """Stores a part of a unit that it refuses."""

    rule = "J8"

    async def add(self, queue: str, units: Units) -> Answers:
        """Add the jobs of a refused unit one by one."""
        answers = await super().add(queue, units)
        for unit, answer in zip(units, answers, strict=True):
            if isinstance(answer, QueueFull):
                for job in unit:
                    await super().add(queue, [[job]])
        return answers


class RefusesAll(Bug):
    """Where one unit does not fit it refuses all of the call."""

    rule = "J8"

    async def add(self, queue: str, units: Units) -> Answers:
        """Answer all units like the one."""
        answers = await super().add(queue, units)
        full = [answer for answer in answers if isinstance(answer, QueueFull)]
        return [full[0] for _ in answers] if full else answers


class RefusesDuplicates(Bug):
    """Where it is full it does not look for duplicates."""

    rule = "J8"

    async def add(self, queue: str, units: Units) -> Answers:
        """Probe whether one more would fit."""
        limit = self._limits.max_queue_size
        stats = await self.stats(queue)
        if limit is not None and stats.pending >= limit * max(stats.consumer_groups, 1):
            return [QueueFull(limit) for _ in units]
        if limit is not None and stats.unclaimed >= limit:
            return [QueueFull(limit) for _ in units]
        return await super().add(queue, units)


class CountsRunning(Bug):
    """Counts running deliveries as if they waited."""

    rule = "J8"

    async def add(self, queue: str, units: Units) -> Answers:
        """Be full of what runs."""
        limit = self._limits.max_queue_size
        stats = await self.stats(queue)
        if limit is not None and stats.processing + stats.pending >= limit and stats.processing:
            return [QueueFull(limit) for _ in units]
        return await super().add(queue, units)


class CountsAllGroups(Bug):
    """Counts the deliveries of all groups, not those of the fullest."""

    rule = "J8"

    async def add(self, queue: str, units: Units) -> Answers:
        """Be full of the sum."""
        limit = self._limits.max_queue_size
        if limit is not None and (await self.stats(queue)).pending >= limit:
            return [QueueFull(limit) for _ in units]
        return await super().add(queue, units)
