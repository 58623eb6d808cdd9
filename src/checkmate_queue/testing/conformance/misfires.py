"""Schedules never pile up: who gets an occurrence while earlier ones are still about."""

from __future__ import annotations

from checkmate_queue.core.model import Done, GiveBack, RetryLater, Schedule, occurrence_id
from checkmate_queue.testing.conformance.groups import ephemeral
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.leases import give_back, lapsed_of
from checkmate_queue.testing.conformance.schedules import MINUTE, fire, put
from checkmate_queue.testing.conformance.selection import Theme, needs


def due_of(schedule: Schedule) -> int:
    """When it is due next."""
    assert schedule.next_at is not None
    return schedule.next_at


class Coalescing(Theme):
    """With overlap: an occurrence waits for no run, but replaces none that has not started."""

    async def test_not_delivered_while_the_previous_one_has_not_started(self, h: Harness) -> None:
        """R5: in a group where the previous delivery waits, no second one joins it."""
        for name, misfire in (("c", "coalesce"), ("s", "skip")):
            queue = await h.on(name)
            worker = await queue.worker("w", "g")
            schedule = await put(queue, misfire=misfire)
            first = due_of(schedule)
            for _ in range(4):
                schedule = await fire(queue, schedule)
            assert await worker.ids() == [occurrence_id("s", first)]
            last = due_of(schedule)
            await fire(queue, schedule)
            assert await worker.ids() == [occurrence_id("s", last)]

    async def test_running_one_does_not_hinder(self, h: Harness) -> None:
        """R1: it fires whether or not earlier runs are done."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        for _ in range(4):
            schedule = await fire(h, schedule)
            assert len(await worker.ids()) == 1

    async def test_what_was_ever_claimed_has_started(self, h: Harness) -> None:
        """R5: a delivery that was given back, waits for a retry, or lapsed does not hinder the next."""
        keeper = await h.worker("keeper", "other", lease=90)
        worker = await h.worker("w", "g", lease=90)
        schedule = await fire(h, await put(h))
        await worker.settle(GiveBack((await worker.one()).key))
        schedule = await fire(h, schedule)
        claims = await worker.claim(9)
        assert len(claims) == 2
        await worker.settle(Done(claims[0].key), RetryLater(claims[1].key, 10 * MINUTE))
        schedule = await fire(h, schedule)
        assert len(await worker.ids()) == 1
        await h.travel(91, keeper)
        await keeper.tick(*map(give_back, await lapsed_of(keeper)))
        await fire(h, schedule)
        heir = await h.worker("heir", "g")
        assert len(await heir.ids()) == 2

    async def test_each_group_coalesces_for_itself(self, h: Harness) -> None:
        """R5: a group that lags is passed over, the others get theirs."""
        worker = await h.worker("w", "quick", "slow")
        schedule = await put(h)
        first = due_of(schedule)
        for _ in range(3):
            due = due_of(schedule)
            schedule = await fire(h, schedule)
            assert await worker.drain("quick") == [occurrence_id("s", due)]
        assert await worker.drain("slow") == [occurrence_id("s", first)]

    async def test_dead_group_never_stops_the_others(self, h: Harness) -> None:
        """R6: a group without workers keeps one delivery, whatever the mode, and stops nobody."""
        gone = await h.worker("gone", "dead")
        await gone.leave()
        worker = await h.worker("w", "g")
        schedule = await put(h, overlap=False)
        for _ in range(3):
            schedule = await fire(h, schedule)
            assert len(await worker.drain()) == 1
        assert len(await (await h.worker("back", "dead")).drain()) == 1

    async def test_where_every_group_waits_no_job_is_made(self, h: Harness) -> None:
        """R5: the schedule moves on, and nothing of the suppressed due time is left."""
        worker = await h.worker("w", "g1", "g2")
        schedule = await fire(h, await put(h))
        suppressed = due_of(schedule)
        schedule = await fire(h, schedule)
        later = await h.worker("later", "g3")
        for group in ("g1", "g2"):
            assert occurrence_id("s", suppressed) not in await worker.drain(group)
        assert await later.drain() == []
        assert (await worker.tick()).due == []

    async def test_unclaimed_job_of_it_hinders_the_next(self, h: Harness) -> None:
        """R5: while no group is registered, one job waits, not one for each due time."""
        schedule = await put(h)
        first = due_of(schedule)
        for _ in range(3):
            schedule = await fire(h, schedule)
        worker = await h.worker("w", "g")
        assert await worker.ids() == [occurrence_id("s", first)]

    async def test_unclaimed_job_that_found_a_group_hinders_no_longer(self, h: Harness) -> None:
        """R5: once the unclaimed job was taken and done, the next one may wait unclaimed."""
        schedule = await fire(h, await put(h))
        worker = await h.worker("w", "g")
        assert len(await worker.drain()) == 1
        await worker.leave(unregister=True)
        due = due_of(schedule)
        await fire(h, schedule)
        assert await (await h.worker("w2", "g2")).ids() == [occurrence_id("s", due)]

    @needs("cancel")
    async def test_cancelled_occurrence_hinders_nothing(self, h: Harness) -> None:
        """R5: what was cancelled before it started does not stand in the way of the next."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        cancelled = occurrence_id("s", due_of(schedule))
        schedule = await fire(h, schedule)
        await h.store.cancel(h.queue, cancelled)
        due = due_of(schedule)
        await fire(h, schedule)
        assert await worker.ids() == [occurrence_id("s", due)]

    async def test_unclaimed_choice_of_the_schedule(self, h: Harness) -> None:
        """G2: with `unclaimed="drop"` an occurrence that nobody hears is dropped, and hinders none."""
        schedule = await fire(h, await put(h, unclaimed="drop"))
        worker = await h.worker("w", "g")
        assert await worker.ids() == []
        due = due_of(schedule)
        await fire(h, schedule)
        assert await worker.ids() == [occurrence_id("s", due)]

    async def test_new_group_is_not_hindered_by_what_others_have(self, h: Harness) -> None:
        """R5: only the group's own previous delivery counts."""
        await h.worker("w1", "g1")
        schedule = await fire(h, await put(h))
        newcomer = await h.worker("w2", "g2")
        due = due_of(schedule)
        await fire(h, schedule)
        assert await newcomer.ids() == [occurrence_id("s", due)]

    async def test_end_of_an_ephemeral_group_frees_the_schedule(self, h: Harness) -> None:
        """R6: what ended with its group hinders nothing."""
        worker = await h.worker("w", ephemeral("e"))
        schedule = await fire(h, await put(h))
        await worker.leave()
        again = await h.worker("w", ephemeral("e"))
        due = due_of(schedule)
        await fire(h, schedule)
        assert await again.ids() == [occurrence_id("s", due)]

    async def test_other_schedules_do_not_hinder(self, h: Harness) -> None:
        """R5: each schedule looks at its own jobs alone, also where ids begin alike."""
        worker = await h.worker("w", "g")
        for name in ("a", "a:1", "ab", "b"):
            await fire(h, await put(h, name))
        assert len(await worker.ids()) == 4

    async def test_two_due_times_in_one_firing(self, h: Harness) -> None:
        """R5: of two due times in one firing the second finds the first waiting."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        first = due_of(schedule)
        h.clock.advance(120)
        await fire(h, schedule, first, first + MINUTE, step=2 * MINUTE)
        assert await worker.ids() == [occurrence_id("s", first)]


class EveryDueTime(Theme):
    """`misfire="all"`."""

    async def test_every_due_time_makes_a_job(self, h: Harness) -> None:
        """R5: what has not started hinders nothing; one firing may carry many due times, in order."""
        worker = await h.worker("w", "g")
        schedule = await put(h, misfire="all")
        first = due_of(schedule)
        schedule = await fire(h, schedule)
        times = [first + number * MINUTE for number in range(1, 1000)]
        h.clock.advance(999 * 60)
        await fire(h, schedule, *times, step=1000 * MINUTE)
        assert await worker.ids(2000) == [occurrence_id("s", due) for due in (first, *times)]

    async def test_all_of_them_wait_unclaimed(self, h: Harness) -> None:
        """R5: "every due time makes a job" holds as well while nobody is registered."""
        schedule = await put(h, misfire="all")
        first = due_of(schedule)
        await fire(h, await fire(h, schedule))
        worker = await h.worker("w", "g")
        assert await worker.ids() == [occurrence_id("s", first), occurrence_id("s", first + MINUTE)]

    async def test_without_overlap_it_waits_for_the_run(self, h: Harness) -> None:
        """R6: `overlap=False` counts for "all" too."""
        worker = await h.worker("w", "g")
        schedule = await fire(h, await put(h, misfire="all", overlap=False))
        claim = await worker.one()
        schedule = await fire(h, schedule)
        assert await worker.ids() == []
        await worker.complete(claim)
        await fire(h, schedule)
        assert len(await worker.ids()) == 1


class WithoutOverlap(Theme):
    """`overlap=False`."""

    async def test_nothing_while_the_previous_one_exists(self, h: Harness) -> None:
        """R6: ready, running or waiting for a retry: the next due time is not delivered."""
        worker = await h.worker("w", "g")
        schedule = await fire(h, await put(h, overlap=False))
        schedule = await fire(h, schedule)
        claim = await worker.one()
        schedule = await fire(h, schedule)
        assert await worker.ids() == []
        await worker.settle(RetryLater(claim.key, 10 * MINUTE))
        schedule = await fire(h, schedule)
        assert await worker.ids() == []
        h.clock.advance(600)
        assert await worker.ids() == [claim.job_id]
        schedule = await fire(h, schedule)
        assert await worker.ids() == []

    async def test_fires_again_when_it_is_done(self, h: Harness) -> None:
        """R6: once the previous delivery has ended, the next comes."""
        worker = await h.worker("w", "g")
        schedule = await put(h, overlap=False)
        for _ in range(4):
            due = due_of(schedule)
            schedule = await fire(h, schedule)
            assert await worker.drain() == [occurrence_id("s", due)]

    async def test_each_group_waits_for_itself(self, h: Harness) -> None:
        """R6: a group that still runs is passed over, the others get theirs."""
        worker = await h.worker("w", "quick", "slow")
        schedule = await fire(h, await put(h, overlap=False))
        claim = await worker.one("slow")
        await worker.drain("quick")
        schedule = await fire(h, schedule)
        assert await worker.ids(group="slow") == []
        assert len(await worker.drain("quick")) == 1
        await worker.complete(claim, group="slow")
        await fire(h, schedule)
        assert len(await worker.drain("slow")) == 1

    async def test_users_job_of_that_id_does_not_hinder(self, h: Harness) -> None:
        """R3: only jobs of the schedule count."""
        worker = await h.worker("w", "g")
        schedule = await put(h, overlap=False)
        await h.add(occurrence_id("s", due_of(schedule)))
        await fire(h, schedule)
        assert len(await worker.ids()) == 2


class Replacing(Theme):
    """What a new definition does to the jobs of the old one."""

    async def test_unstarted_jobs_go(self, h: Harness) -> None:
        """R4: what has not started of the old definition goes, in every group, and hinders nothing."""
        worker = await h.worker("w", "g1", "g2")
        schedule = await fire(h, await put(h))
        claim = await worker.one("g1")
        changed = await put(h, definition="other", data=b"new")
        assert changed.next_at == schedule.next_at
        assert await worker.ids(group="g2") == []
        await worker.complete(claim, group="g1")
        await fire(h, changed)
        assert [c.data for c in await worker.claim(9, "g1")] == [b"new"]
        assert [c.data for c in await worker.claim(9, "g2")] == [b"new"]

    async def test_unclaimed_job_goes(self, h: Harness) -> None:
        """R4: an unclaimed job of the old definition goes as well."""
        await fire(h, await put(h))
        changed = await put(h, definition="other", data=b"new")
        await fire(h, changed)
        worker = await h.worker("w", "g")
        assert [claim.data for claim in await worker.claim(9)] == [b"new"]

    async def test_started_jobs_stay(self, h: Harness) -> None:
        """R4: running and retried jobs of the old definition are finished."""
        worker = await h.worker("w", "g")
        schedule = await fire(h, await put(h))
        retried = await worker.one()
        await worker.settle(RetryLater(retried.key, 1000))
        await fire(h, schedule)
        (running,) = [c for c in await worker.claim(9) if c.job_id != retried.job_id]
        await put(h, definition="other")
        await worker.complete(running)

    async def test_waiting_retry_stays(self, h: Harness) -> None:
        """R4: a retry has started."""
        worker = await h.worker("w", "g")
        await fire(h, await put(h))
        claim = await worker.one()
        await worker.settle(RetryLater(claim.key, 1000))
        await put(h, definition="other")
        h.clock.advance(1)
        assert await worker.ids() == [claim.job_id]

    async def test_equal_definition_keeps_its_jobs(self, h: Harness) -> None:
        """R4: an instance that starts up takes nothing away."""
        worker = await h.worker("w", "g")
        await fire(h, await put(h))
        await put(h)
        assert len(await worker.ids()) == 1

    async def test_due_time_whose_job_still_runs_makes_no_second_one(self, h: Harness) -> None:
        """R3: replaced so that a due time comes again, the schedule moves on and its old job is the one."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        due = due_of(schedule)
        await fire(h, schedule)
        claim = await worker.one()
        again = await put(h, definition="other", timing="other", first_at=due)
        await fire(h, again)
        assert await worker.ids() == []
        assert (await worker.tick()).due == []
        await worker.complete(claim)

    async def test_other_jobs_stay(self, h: Harness) -> None:
        """R4: neither users' jobs nor other schedules' are touched."""
        worker = await h.worker("w", "g")
        names = [occurrence_id("s", h.now + MINUTE), "s", "s:1"]
        await h.add(*names)
        schedule, similar = await put(h), await put(h, "s:1")
        await fire(h, schedule)
        await fire(h, similar)
        await put(h, definition="other")
        assert await worker.ids() == [*names, occurrence_id("s:1", h.now)]

    @needs("stats")
    async def test_what_goes_is_cancelled(self, h: Harness) -> None:
        """R4: replaced deliveries count as `cancelled`."""
        await h.worker("w", "g1", "g2")
        await fire(h, await put(h))
        await put(h, definition="other")
        stats = await h.store.stats(h.queue)
        assert (stats.cancelled, stats.pending, stats.groups["g1"].cancelled) == (2, 0, 1)
