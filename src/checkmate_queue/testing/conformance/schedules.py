"""Schedules: storing them, and firing by compare-and-set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from checkmate_queue.core.model import (
    Firing,
    Millis,
    NewJob,
    NewSchedule,
    RetryLater,
    Schedule,
    occurrence_id,
)
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.selection import Theme, limits, needs

MINUTE: Millis = 60_000


def spec(h: Harness, schedule_id: str = "s", **fields: Any) -> NewSchedule:
    """A schedule that is due first in a minute and then every minute."""
    given: dict[str, Any] = {
        "data": b"data",
        "definition": "definition",
        "timing": "every minute",
        "first_at": h.now + MINUTE,
        "interval_seconds": 60.0,
    }
    return NewSchedule(schedule_id, **{**given, **fields})


async def put(h: Harness, schedule_id: str = "s", **fields: Any) -> Schedule:
    """Store a schedule."""
    return await h.store.put_schedule(h.queue, spec(h, schedule_id, **fields))


def firing(schedule: Schedule, *due: Millis, step: Millis = MINUTE) -> Firing:
    """A firing that moves a schedule on by a step; the job is due at its due time unless others are given."""
    assert schedule.next_at is not None
    at = schedule.next_at
    return Firing(schedule.spec.id, schedule.revision, at, at + step, due or (at,))


async def fire(h: Harness, schedule: Schedule, *due: Millis, step: Millis = MINUTE) -> Schedule:
    """Travel to the due time, fire, which must take effect, and return the schedule as it must be now."""
    assert schedule.next_at is not None
    h.clock.advance(max(0, schedule.next_at - h.now) / 1000)
    move = firing(schedule, *due, step=step)
    assert await h.store.fire(h.queue, [move]) == [True]
    return replace(schedule, next_at=move.next_at)


class Storing(Theme):
    """`put_schedule`."""

    async def test_new_schedule(self, h: Harness) -> None:
        """R1: a new schedule is due first when it was said, and comes back as it went in."""
        given = spec(
            h,
            data=b"\x00\xff",
            interval_seconds=0.1,
            timezone="Europe/Berlin",
            priority=-7,
            misfire="skip",
            overlap=False,
            unclaimed="drop",
        )
        stored = await h.store.put_schedule(h.queue, given)
        assert stored == Schedule(given, stored.revision, given.first_at, given.first_at)
        cron = spec(h, "cron", interval_seconds=None, cron_pattern="*/5 * * * *")
        assert (await h.store.put_schedule(h.queue, cron)).spec == cron

    async def test_equal_definition_changes_nothing(self, h: Harness) -> None:
        """R4: putting the same definition again gives back what is stored, whoever puts it."""
        first = await put(h)
        h.clock.advance(10)
        assert await put(h, first_at=h.now + 5) == first
        fired = await fire(h, first)
        again = await put(h)
        assert (again.revision, again.anchor, again.next_at) == (first.revision, first.anchor, fired.next_at)

    async def test_equal_timing_keeps_the_next_due_time(self, h: Harness) -> None:
        """R4: another definition of equal timing gets a new revision, and keeps anchor and due time."""
        first = await fire(h, await put(h))
        h.clock.advance(10)
        changed = await put(h, definition="other", data=b"other", priority=3, first_at=h.now + 5)
        assert changed.revision > first.revision
        assert (changed.anchor, changed.next_at) == (first.anchor, first.next_at)
        assert (changed.spec.data, changed.spec.priority) == (b"other", 3)

    async def test_other_timing_starts_anew(self, h: Harness) -> None:
        """R4: new timing has its own first due time."""
        first = await fire(h, await put(h))
        changed = await put(h, definition="other", timing="every hour", first_at=h.now + 5)
        assert changed.revision > first.revision
        assert (changed.anchor, changed.next_at) == (h.now + 5, h.now + 5)

    async def test_last_writer_wins(self, h: Harness) -> None:
        """R4: going back to an earlier definition is a change like any other."""
        first = await put(h)
        second = await put(h, definition="other")
        third = await put(h)
        assert first.revision < second.revision < third.revision

    async def test_schedules_of_queues_are_apart(self, h: Harness) -> None:
        """R3: a schedule belongs to its queue."""
        schedule = await put(h)
        other = await h.on("other")
        h.clock.advance(60)
        assert await h.store.fire(other.queue, [firing(schedule)]) == [False]
        assert (await (await other.worker("w", "g")).tick()).due == []

    async def test_due_schedules_come_with_a_tick(self, h: Harness) -> None:
        """R1: every worker of the queue is told what is due, the earliest first, and nothing else."""
        await put(h, "later", first_at=h.now + 3000)
        await put(h, "sooner", first_at=h.now + 1000)
        await put(h, "not yet", first_at=h.now + 3001)
        worker = await h.worker("w", "g")
        assert (await worker.tick()).due == []
        h.clock.advance(3)
        for _ in range(2):
            assert [schedule.spec.id for schedule in (await worker.tick()).due] == ["sooner", "later"]

    async def test_due_schedule_comes_whole(self, h: Harness) -> None:
        """R1: what a tick hands out is the schedule as it is stored."""
        schedule = await put(h, data=b"\x00")
        worker = await h.worker("w", "g")
        h.clock.advance(60)
        assert (await worker.tick()).due == [schedule]

    async def test_more_due_schedules_than_one_batch(self, h: Harness) -> None:
        """R9: 1,500 schedules that are due at once are all fired, the earliest first."""
        for number in range(1500):
            await put(h, f"s{number}", first_at=h.now + 1 + number)
        worker = await h.worker("w", "g")
        h.clock.advance(2)
        assert (await worker.tick()).more
        fired: list[str] = []
        while due := (await worker.tick()).due:
            assert len(due) <= 1000
            assert all(await h.store.fire(h.queue, [firing(schedule) for schedule in due]))
            fired += [schedule.spec.id for schedule in due]
        assert fired == [f"s{number}" for number in range(1500)]

    async def test_next_look_is_not_later_than_a_schedule(self, h: Harness) -> None:
        """R9: exchange and tick say when the next schedule is due."""
        worker = await h.worker("w", "g", lease=300)
        schedule = await put(h)
        exchange, tick = await worker.exchange(want=1), await worker.tick()
        assert exchange.next_at == schedule.next_at
        assert tick.next_at == schedule.next_at

    async def test_next_look_is_the_first_of_all(self, h: Harness) -> None:
        """R9: of a schedule, a retry, a delayed job, an expiry and a lease the first is told."""
        worker = await h.worker("w", "g", lease=300)
        await h.worker("other", "g", lease=200)
        start = h.now
        await h.add("a")
        claim = await worker.one()
        await put(h, first_at=start + 9000)
        assert (await worker.exchange(want=1)).next_at == (await worker.tick()).next_at == start + 9000
        await worker.settle(RetryLater(claim.key, 7000))
        assert (await worker.exchange(want=1)).next_at == (await worker.tick()).next_at == start + 7000
        await h.add("b", delay_ms=5000)
        assert (await worker.exchange(want=1)).next_at == (await worker.tick()).next_at == start + 5000
        await h.add("c", expires_ms=3000)
        assert start + 3000 <= ((await worker.tick()).next_at or 0) <= start + 3001
        await put(h, "sooner", first_at=start + 1000)
        assert (await worker.exchange()).next_at == (await worker.tick()).next_at == start + 1000

    @needs("stats", "jobs")
    async def test_next_occurrence_is_not_counted(self, h: Harness) -> None:
        """L3: a schedule's next occurrence does not exist before it is due."""
        await put(h)
        stats = await h.store.stats(h.queue)
        assert (stats.delayed, stats.pending, stats.unclaimed) == (0, 0, 0)
        assert await h.store.jobs(h.queue) == []


class FiringOnce(Theme):
    """`fire` and its compare-and-set."""

    async def test_job_of_an_occurrence(self, h: Harness) -> None:
        """R3: the job has the schedule's data and priority, and an id of schedule and due time."""
        worker = await h.worker("w", "g")
        schedule = await put(h, data=b"\x00x", priority=5)
        await fire(h, schedule)
        assert schedule.next_at is not None
        claim = await worker.one()
        assert (claim.job_id, claim.data, claim.priority) == (
            occurrence_id("s", schedule.next_at),
            b"\x00x",
            5,
        )
        assert (claim.enqueued_at, claim.attempts, claim.stalls) == (h.now, 0, 0)

    async def test_each_due_time_fires_once(self, h: Harness) -> None:
        """R3: of two who fire the same due time one takes effect; one job is made."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        h.clock.advance(60)
        assert await h.store.fire(h.queue, [firing(schedule), firing(schedule)]) == [True, False]
        assert await h.store.fire(h.queue, [firing(schedule)]) == [False]
        assert len(await worker.ids()) == 1
        assert (await worker.tick()).due == []

    async def test_only_as_expected(self, h: Harness) -> None:
        """R3: another revision, due time or id takes no effect; each firing stands for itself."""
        worker = await h.worker("w", "g")
        one, two = await put(h, "one"), await put(h, "two")
        h.clock.advance(60)
        good = firing(two)
        firings = [
            replace(firing(one), revision=one.revision + 100),
            replace(firing(one), expected_at=h.now - 1),
            replace(firing(one), schedule_id="three"),
            good,
        ]
        assert await h.store.fire(h.queue, firings) == [False, False, False, True]
        assert await worker.ids() == [occurrence_id("two", h.now)]
        assert [schedule.spec.id for schedule in (await worker.tick()).due] == ["one"]

    async def test_replaced_schedule_is_not_fired_by_the_old_one(self, h: Harness) -> None:
        """R4: a firing that was decided before a replacement takes no effect."""
        worker = await h.worker("w", "g")
        old = await put(h)
        await put(h, definition="other", data=b"new")
        h.clock.advance(60)
        assert await h.store.fire(h.queue, [firing(old)]) == [False]
        assert await worker.ids() == []

    async def test_schedule_moves_on(self, h: Harness) -> None:
        """R1: after a firing the schedule is due at the next time, or never again."""
        worker = await h.worker("w", "g")
        schedule = await fire(h, await put(h))
        assert (await worker.tick()).due == []
        h.clock.advance(60)
        (due,) = (await worker.tick()).due
        assert due.next_at == schedule.next_at == h.now
        assert await h.store.fire(h.queue, [replace(firing(due), next_at=None)]) == [True]
        h.clock.advance(100_000)
        assert (await worker.tick()).due == []

    async def test_firing_without_a_due_time_makes_no_job(self, h: Harness) -> None:
        """R5: a skipped due time moves the schedule on and makes none."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        h.clock.advance(60)
        assert await h.store.fire(h.queue, [replace(firing(schedule), due=())]) == [True]
        assert await worker.ids() == []
        assert (await worker.tick()).due == []

    async def test_occurrences_have_a_name_space_of_their_own(self, h: Harness) -> None:
        """R3: a user's job of the same id neither hinders an occurrence nor is hindered by it."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        name = occurrence_id("s", h.now + MINUTE)
        await h.add(NewJob(name, b"mine"))
        await fire(h, schedule)
        assert [(c.job_id, c.data) for c in await worker.claim(9)] == [(name, b"mine"), (name, b"data")]
        other = await put(h, "t")
        await fire(h, other)
        assert await h.add(occurrence_id("t", h.now)) == [(occurrence_id("t", h.now), True)]
        assert await worker.ids() == [occurrence_id("t", h.now)] * 2

    async def test_every_group_gets_it_once(self, h: Harness) -> None:
        """G1: an occurrence goes to every live group, and not to later ones."""
        worker = await h.worker("w", "g1", "g2")
        await fire(h, await put(h))
        later = await h.worker("w2", "g3")
        assert len(await worker.drain("g1")) == 1
        assert len(await worker.drain("g2")) == 1
        assert await later.drain() == []

    async def test_occurrences_queue_up_like_jobs(self, h: Harness) -> None:
        """J5: an occurrence is ready when it is fired, at its priority."""
        worker = await h.worker("w", "g")
        schedule = await put(h)
        await h.add("before")
        await fire(h, schedule)
        await h.add("after")
        await h.add("high", priority=1)
        assert await worker.ids() == ["high", "before", occurrence_id("s", h.now), "after"]

    async def test_firings_make_jobs_in_the_order_given(self, h: Harness) -> None:
        """J5: the jobs of one call are ready in the order of the firings."""
        worker = await h.worker("w", "g")
        schedules = [await put(h, name) for name in ("c", "a", "b")]
        h.clock.advance(60)
        assert await h.store.fire(h.queue, [firing(schedule) for schedule in schedules]) == [True] * 3
        assert await worker.ids() == [occurrence_id(name, h.now) for name in ("c", "a", "b")]

    @limits(max_queue_size=1)
    async def test_full_queue_takes_occurrences(self, h: Harness) -> None:
        """J8: schedules never fail by a full queue."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fire(h, await put(h))
        assert len(await worker.ids()) == 2

    async def test_occurrence_fails_and_retries_like_a_job(self, h: Harness) -> None:
        """F1: a schedule's delivery is retried in its group, as the same job."""
        worker = await h.worker("w", "g")
        await fire(h, await put(h))
        claim = await worker.one()
        await worker.settle(RetryLater(claim.key, 1000))
        h.clock.advance(1)
        assert await worker.one() == claim._replace(attempts=1)

    async def test_schedule_ids_with_separators(self, h: Harness) -> None:
        """X1: `a` and `a:1`, and their occurrences, are different things."""
        worker = await h.worker("w", "g")
        for name in ("a", "a:1", "a:1:1", "'a'", "{a}", "é" * 240):
            await put(h, name)
        h.clock.advance(60)
        due = (await worker.tick()).due
        assert len(due) == 6
        assert all(await h.store.fire(h.queue, [firing(schedule) for schedule in due]))
        assert await worker.ids() == [occurrence_id(schedule.spec.id, h.now) for schedule in due]
