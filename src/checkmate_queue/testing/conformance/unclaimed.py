"""Jobs that nobody is registered for, and groups that come and go with their consumers."""

from __future__ import annotations

import pytest

from checkmate_queue.core.model import Added, GroupJoin, NewJob, RetryLater
from checkmate_queue.store import LeaseLostError
from checkmate_queue.testing.conformance.groups import ephemeral
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.selection import Theme, limits, needs


class Unclaimed(Theme):
    """Held for the first durable group, or dropped."""

    async def test_id_of_a_dropped_job_is_free_for_the_next_unit(self, h: Harness) -> None:
        """G2, J7: what is dropped at once has ended before the next caller's unit is looked at."""
        units = [[NewJob("a", b"1", unclaimed="drop")], [NewJob("a", b"2")], [NewJob("a", b"3")]]
        answers = await h.store.add(h.queue, units)
        assert answers == [[Added("a", True)], [Added("a", True)], [Added("a", False)]]
        worker = await h.worker("w", "g")
        assert [claim.data for claim in await worker.claim(9)] == [b"2"]

    async def test_first_durable_group_gets_all_in_order(self, h: Harness) -> None:
        """G2: unclaimed jobs wait, and come in order before what is added later."""
        await h.add("a", "b")
        await h.add("high", priority=1)
        worker = await h.worker("w", "g")
        await h.add("c")
        assert await worker.ids() == ["high", "a", "b", "c"]

    async def test_second_group_gets_none(self, h: Harness) -> None:
        """G2: the first durable group gets them, not those that come later."""
        await h.add("a")
        first = await h.worker("w1", "g1")
        second = await h.worker("w2", "g2")
        assert await second.ids() == []
        assert await first.ids() == ["a"]

    async def test_groups_that_join_in_one_step_all_get_them(self, h: Harness) -> None:
        """G2: consumers that start together all get the unclaimed jobs, ephemeral ones not."""
        await h.add("a", "b")
        worker = await h.worker("w", "g1", ephemeral("e"), "g2")
        assert await worker.drain("g1") == ["a", "b"]
        assert not await h.accepts("a")
        assert await worker.drain("g2") == ["a", "b"]
        assert await worker.drain("e") == []
        assert await h.accepts("b")

    async def test_ephemeral_group_leaves_them(self, h: Harness) -> None:
        """G2: only a durable group takes unclaimed jobs."""
        await h.add("a")
        passing = await h.worker("w1", ephemeral("e"))
        assert await passing.ids() == []
        await h.add("b")
        assert await passing.ids() == ["b"]
        assert await (await h.worker("w2", "g")).ids() == ["a"]

    async def test_delayed_jobs_become_unclaimed_when_due(self, h: Harness) -> None:
        """G2: a delayed job that is due while nobody is registered waits as unclaimed, in due order."""
        await h.add("a", delay_ms=2000)
        await h.add("b", delay_ms=1000)
        await h.add("c", delay_ms=9000)
        h.clock.advance(3)
        worker = await h.worker("w", "g")
        assert await worker.ids() == ["b", "a"]
        h.clock.advance(6)
        assert await worker.ids() == ["c"]

    async def test_many_unclaimed_jobs(self, h: Harness) -> None:
        """G2: 2,500 unclaimed jobs all come, in order, as soon as the group has joined."""
        names = [f"job {number}" for number in range(2500)]
        await h.add(*names)
        assert await (await h.worker("w", "g")).drain() == names

    async def test_dropped_where_nobody_listens(self, h: Harness) -> None:
        """G2: with `unclaimed="drop"` a job nobody is registered for ends at once; its id is free."""
        await h.add("a", unclaimed="drop")
        assert await h.add(NewJob("a", b"2", unclaimed="drop")) == [("a", True)]
        await h.add("kept")
        assert await (await h.worker("w", "g")).ids() == ["kept"]

    async def test_dropped_at_its_due_time(self, h: Harness) -> None:
        """G2: the choice travels with each job to its due time."""
        await h.add("a", delay_ms=1000, unclaimed="drop")
        await h.add("b", delay_ms=1000)
        h.clock.advance(2)
        assert await (await h.worker("w", "g")).ids() == ["b"]
        assert await h.accepts("a")

    async def test_droppable_job_is_delivered_to_who_listens(self, h: Harness) -> None:
        """G2: `unclaimed="drop"` means nothing where a group is registered."""
        worker = await h.worker("w", ephemeral("e"))
        await h.add("a", unclaimed="drop")
        assert await worker.ids() == ["a"]

    async def test_dropped_group_does_not_make_its_jobs_unclaimed(self, h: Harness) -> None:
        """G2: deliveries of the last group end with it."""
        worker = await h.worker("w1", ephemeral("e"))
        await h.add("a", "b", "c")
        await worker.settle(RetryLater((await worker.one()).key, 1000))
        await worker.one()
        await worker.leave()
        later = await h.worker("w2", "g")
        h.clock.advance(1)
        assert await later.ids() == []
        assert [added.created for added in await h.add("a", "b", "c")] == [True] * 3

    @limits(unclaimed_retention_ms=60_000)
    async def test_unclaimed_jobs_expire(self, h: Harness) -> None:
        """G2: after the retention an unclaimed job is gone."""
        await h.add("old")
        h.clock.advance(40)
        await h.add("new")
        h.clock.advance(20.001)
        keeper = await h.worker("keeper", ephemeral("e"))
        await keeper.sweep()
        assert await (await h.worker("w", "g")).ids() == ["new"]
        assert await h.accepts("old")

    @limits(unclaimed_retention_ms=60_000)
    async def test_retention_begins_at_the_due_time(self, h: Harness) -> None:
        """G2: a delayed job is unclaimed from its due time on."""
        await h.add("a", delay_ms=50_000)
        keeper = await h.worker("keeper", ephemeral("e"))
        await keeper.leave()
        h.clock.advance(51)
        keeper = await h.worker("keeper", ephemeral("e"))
        h.clock.advance(50)
        await keeper.sweep()
        assert await (await h.worker("w", "g")).ids() == ["a"]

    @limits(unclaimed_retention_ms=60_000)
    async def test_next_look_is_not_later_than_the_retention(self, h: Harness) -> None:
        """G2: `tick` says to come again when the next unclaimed job expires."""
        await h.add("a")
        keeper = await h.worker("keeper", ephemeral("e"), lease=300)
        tick = await keeper.tick()
        assert tick.next_at is not None
        assert h.now < tick.next_at <= h.now + 60_001

    @needs("stats")
    async def test_counted_apart(self, h: Harness) -> None:
        """G2: unclaimed jobs are `unclaimed`, not `pending`; dropped ones are `expired`."""
        await h.add("a", "b")
        await h.add("c", unclaimed="drop")
        stats = await h.store.stats(h.queue)
        assert (stats.unclaimed, stats.pending, stats.expired, stats.oldest_pending_seconds) == (
            2,
            0,
            1,
            None,
        )
        await h.worker("w", "g")
        stats = await h.store.stats(h.queue)
        assert (stats.unclaimed, stats.pending, stats.groups["g"].pending) == (0, 2, 2)


class Ephemeral(Theme):
    """Groups that go with their last consumer."""

    async def test_goes_when_the_last_consumer_leaves(self, h: Harness) -> None:
        """G4: it stays while one member is left, and is gone with the last."""
        await h.worker("other", "durable")
        first, second = await h.worker("w1", ephemeral("e")), await h.worker("w2", ephemeral("e"))
        await h.add("a", "b")
        await first.ids(1)
        await first.leave()
        assert await second.ids(1) == ["a"]
        await second.leave()
        await h.add("c")
        assert await (await h.worker("w3", ephemeral("e"))).ids() == []

    async def test_nothing_is_fanned_out_after_the_lease(self, h: Harness) -> None:
        """G4: a lease that has run out ends the fan-out at once, reaped or not."""
        await h.worker("w", ephemeral("e"))
        keeper = await h.worker("keeper", "g")
        await h.travel(31, keeper)
        await h.add("missed")
        again = await h.worker("w", ephemeral("e"))
        assert await again.ids() == []
        await h.add("news")
        assert await again.ids() == ["news"]
        assert await keeper.drain() == ["missed", "news"]
        assert not await h.accepts("news")

    async def test_job_for_a_dead_ephemeral_group_alone_is_unclaimed(self, h: Harness) -> None:
        """G4: an ephemeral group without a live member counts for nothing."""
        await h.worker("w1", ephemeral("e1"))
        keeper = await h.worker("keeper", ephemeral("e2"))
        await h.travel(31, keeper)
        await keeper.leave()
        await h.add("a")
        assert await (await h.worker("w2", "g")).ids() == ["a"]

    async def test_dies_with_its_last_lease(self, h: Harness) -> None:
        """G4: a tick drops it, names it, and ends all its deliveries, running ones included."""
        worker = await h.worker("w", ephemeral("e"))
        await h.add("ready", "running", "waiting")
        waiting = await worker.one()
        await worker.settle(RetryLater(waiting.key, 100_000))
        await worker.one()
        keeper = await h.worker("keeper", "g")
        await h.travel(31, keeper)
        ticks = await keeper.sweep()
        assert [name for tick in ticks for name in tick.dropped] == ["e"]
        assert [lapsed for tick in ticks for lapsed in tick.lapsed] == []
        assert await worker.is_dead()
        assert [added.created for added in await h.add("ready", "running", "waiting")] == [True] * 3

    async def test_survives_one_of_two_members(self, h: Harness) -> None:
        """G4: while another member lives the group stays, and the dead one's claims are handed on."""
        worker, keeper = await h.worker("w1", ephemeral("e")), await h.worker("w2", ephemeral("e"))
        await h.add("a", "b")
        await worker.one()
        await h.travel(31, keeper)
        ticks = await keeper.sweep()
        assert [name for tick in ticks for name in tick.dropped] == []
        lapsed = [(item.group, item.claim.job_id) for tick in ticks for item in tick.lapsed]
        assert lapsed == [("e", "a")]
        assert await keeper.ids() == ["b"]

    async def test_consumer_of_a_dropped_group_joins_again(self, h: Harness) -> None:
        """G4: its exchange is refused, it joins anew, and what came between is not delivered."""
        worker = await h.worker("w", ephemeral("e"))
        keeper = await h.worker("keeper", "g")
        await h.travel(31, keeper)
        await keeper.sweep()
        await h.add("missed")
        with pytest.raises(LeaseLostError):
            await worker.claim()
        again = await worker.rejoin(ephemeral("e"))
        await h.add("news")
        assert again.epoch != worker.epoch
        assert await again.ids() == ["news"]

    async def test_kind_is_as_given_last(self, h: Harness) -> None:
        """G4: joining as durable makes an ephemeral group durable, and the other way round."""
        worker = await h.worker("w", GroupJoin("e", ephemeral=True), "g")
        await worker.rejoin(GroupJoin("e"), ephemeral("g"))
        await worker.leave("e", "g")
        await h.add("a")
        assert await (await h.worker("w2", "g")).ids() == []
        assert await (await h.worker("w3", "e")).ids() == ["a"]

    async def test_earliest_ephemeral_group(self, h: Harness) -> None:
        """G3: an ephemeral group may ask for the unfinished too."""
        await h.worker("w1", "g")
        await h.add("a", "b")
        newcomer = await h.worker("w2", GroupJoin("e", ephemeral=True, start_from="earliest"))
        await newcomer.sweep()
        assert await newcomer.ids() == ["a", "b"]

    @needs("stats", "groups")
    async def test_numbers_of_what_went(self, h: Harness) -> None:
        """G4: deliveries that end with their group are `expired`, in the queue's lifetime count."""
        worker = await h.worker("w", ephemeral("e"))
        await h.add("a", "b", "c", "d")
        await worker.complete(await worker.one())
        await worker.one()
        await worker.leave()
        stats = await h.store.stats(h.queue)
        assert (stats.completed, stats.expired, stats.pending, stats.processing) == (1, 3, 0, 0)
        assert (stats.consumer_groups, dict(stats.groups)) == (0, {})
        assert await h.store.groups(h.queue) == []
