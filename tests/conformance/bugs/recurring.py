"""Bugs in schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checkmate_queue.core.model import (
    Firing,
    NewSchedule,
    Schedule,
)
from checkmate_queue.store import BATCH
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
