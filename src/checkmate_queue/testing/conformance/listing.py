"""Schedules as a list: reading and dropping them."""

from __future__ import annotations

from dataclasses import replace

from checkmate_queue.core.model import Fail, Failure, occurrence_id
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.schedules import MINUTE, fire, firing, put
from checkmate_queue.testing.conformance.selection import Theme, all_need, limits, needs


@all_need("schedules", "drop_schedule")
class Listing(Theme):
    """`schedules` and `drop_schedule`."""

    async def test_listed_by_id_and_by_page(self, h: Harness) -> None:
        """R7: schedules are read in the order of their ids, by name or page by page."""
        for name in ("b", "a", "ab", "c", "a:1"):
            await put(h, name)
        names = ["a", "a:1", "ab", "b", "c"]
        listed = await h.store.schedules(h.queue)
        assert [schedule.spec.id for schedule in listed] == names
        pages = [await h.store.schedules(h.queue, after=after, limit=2) for after in ("", "a:1", "b", "c")]
        assert [[schedule.spec.id for schedule in page] for page in pages] == [
            names[:2],
            names[2:4],
            ["c"],
            [],
        ]
        named = await h.store.schedules(h.queue, ids=["c", "unknown", "a"])
        assert [schedule.spec.id for schedule in named] == ["a", "c"]
        assert await h.store.schedules(h.queue, ids=[]) == []

    async def test_listed_as_stored(self, h: Harness) -> None:
        """R4: the list shows what `put_schedule` returned, and where firing moved it."""
        schedule = await put(h)
        assert await h.store.schedules(h.queue) == [schedule]
        await h.worker("w", "g")
        fired = await fire(h, schedule)
        assert await h.store.schedules(h.queue) == [replace(fired, last_run_at=schedule.next_at)]

    async def test_revisions_never_restart(self, h: Harness) -> None:
        """R3: a schedule that was dropped and made again is not mistaken for the old one."""
        worker = await h.worker("w", "g")
        old = await put(h)
        assert await h.store.drop_schedule(h.queue, "s")
        new = await put(h, first_at=old.next_at)
        assert new.revision > old.revision
        h.clock.advance(60)
        assert await h.store.fire(h.queue, [firing(old)]) == [False]
        assert await h.store.fire(h.queue, [firing(new)]) == [True]
        assert len(await worker.ids()) == 1

    async def test_dropped_schedule_is_gone(self, h: Harness) -> None:
        """R7: it is no longer listed nor due; an unknown id is no error."""
        worker = await h.worker("w", "g")
        await put(h)
        assert await h.store.drop_schedule(h.queue, "s") is True
        assert await h.store.drop_schedule(h.queue, "s") is False
        assert await h.store.drop_schedule(h.queue, "never") is False
        assert await h.store.schedules(h.queue) == []
        h.clock.advance(60)
        assert (await worker.tick()).due == []

    async def test_dropping_takes_unstarted_jobs_along_and_nothing_else(self, h: Harness) -> None:
        """R7: ready jobs of it go; running ones, retries and whatever begins alike stay."""
        worker = await h.worker("w", "g")
        schedules = [await put(h, name, misfire="all") for name in ("s", "s:1", "s2", "S", "s%", "s_")]
        await h.add(f"s:{h.now}")
        running = await fire(h, schedules[0])
        claim = await worker.one()
        assert claim.job_id == f"s:{h.now - MINUTE}"
        kept = await worker.one()
        again = await fire(h, await fire(h, running))
        for schedule in schedules[1:]:
            await fire(h, schedule)
        assert again.next_at is not None
        await h.add(occurrence_id("s", again.next_at - MINUTE))
        assert await h.store.drop_schedule(h.queue, "s")
        left = await worker.ids()
        mine = occurrence_id("s", again.next_at - MINUTE)
        others = [occurrence_id(schedule.spec.id, schedule.next_at or 0) for schedule in schedules[1:]]
        assert sorted(left) == sorted([mine, *others])
        await worker.complete(claim, kept)

    @needs("stats")
    @limits(unclaimed_retention_ms=5000)
    async def test_dropping_cancels_nothing_that_had_expired(self, h: Harness) -> None:
        """G2, R7: a job past its retention counts as expired, also where nobody came by to end it."""
        await fire(h, await put(h))
        h.clock.advance(5)
        assert await h.store.drop_schedule(h.queue, "s")
        stats = await h.store.stats(h.queue)
        assert (stats.unclaimed, stats.cancelled, stats.expired) == (0, 0, 1)

    @needs("stats")
    @limits(unclaimed_retention_ms=5000)
    async def test_replacing_cancels_nothing_that_had_expired(self, h: Harness) -> None:
        """G2, R4: as dropping does."""
        await fire(h, await put(h))
        h.clock.advance(5)
        await put(h, definition="another")
        stats = await h.store.stats(h.queue)
        assert (stats.unclaimed, stats.cancelled, stats.expired) == (0, 0, 1)

    async def test_last_run_and_outcome(self, h: Harness) -> None:
        """R5: the last run is that of the last job made; the outcome that of the last delivery ended."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        assert (schedule.last_run_at, schedule.last_outcome) == (None, None)
        first_due = schedule.next_at
        schedule = await fire(h, schedule)
        await worker.complete(await worker.one())
        (shown,) = await h.store.schedules(h.queue)
        assert (shown.last_run_at, shown.last_outcome) == (first_due, "completed")
        second_due = schedule.next_at
        schedule = await fire(h, schedule)
        await fire(h, schedule)
        (shown,) = await h.store.schedules(h.queue)
        assert (shown.last_run_at, shown.last_outcome) == (second_due, "completed")
        await worker.settle(Fail((await worker.one()).key, Failure("E", "m")))
        (shown,) = await h.store.schedules(h.queue)
        assert shown.last_outcome == "failed"
