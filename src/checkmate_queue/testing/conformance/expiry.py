"""Deliveries whose news is stale."""

from __future__ import annotations

from checkmate_queue.core.model import Added, GiveBack, GroupJoin, NewJob, RetryLater
from checkmate_queue.testing.conformance.groups import ephemeral
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.leases import give_back, lapsed_of
from checkmate_queue.testing.conformance.selection import Theme, limits, needs


class Expiry(Theme):
    """`expires_in`, as `expires_ms` of a new job."""

    async def test_delivered_until_its_time(self, h: Harness) -> None:
        """J9: until the last millisecond it is claimed, afterwards not."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", expires_ms=10_000)
        h.clock.advance(9.999)
        assert await worker.ids(1) == ["a"]
        h.clock.advance(0.002)
        assert await worker.ids() == []

    async def test_id_is_free_at_that_moment(self, h: Harness) -> None:
        """J9: swept or not, the id of an expired job can be used; the old job does not come back."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"old", priority=5, expires_ms=10_000))
        h.clock.advance(10.001)
        assert await h.add(NewJob("a", b"new"), NewJob("a", b"newer")) == [
            Added("a", True),
            Added("a", False),
        ]
        await worker.sweep()
        assert [claim.data for claim in await worker.claim(9)] == [b"new"]
        assert not await h.accepts("a")

    async def test_id_of_an_expired_job_can_expire_again(self, h: Harness) -> None:
        """J9: each life of an id has an expiry of its own."""
        worker = await h.worker("w", "g")
        for _ in range(5):
            assert await h.add(NewJob("a", b"", expires_ms=1000)) == [Added("a", True)]
            h.clock.advance(1.001)
        await h.add(NewJob("a", b"last", expires_ms=100_000))
        await worker.sweep()
        h.clock.advance(50)
        assert [claim.data for claim in await worker.claim(9)] == [b"last"]

    async def test_what_has_started_never_expires(self, h: Harness) -> None:
        """J9: running, given-back, retried and lapsed deliveries have started."""
        running, stopping = await h.worker("w1", "g"), await h.worker("w2", "g")
        failing, dying = await h.worker("w3", "g"), await h.worker("w4", "g")
        await h.add("running", "given back", "retried", "lapsed", "expired", expires_ms=5000)
        kept = await running.one()
        await stopping.settle(GiveBack((await stopping.one()).key))
        assert await stopping.ids(1) == ["given back"]
        await failing.settle(RetryLater((await failing.one()).key, 6000))
        await dying.one()
        await stopping.leave()
        await h.travel(31, running, failing)
        await failing.tick(*map(give_back, await lapsed_of(failing)))
        assert sorted(await failing.ids()) == ["given back", "lapsed", "retried"]
        await running.complete(kept)

    async def test_delay_counts_towards_expiry(self, h: Harness) -> None:
        """J9: the time runs from the enqueue, not from the due time."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", delay_ms=4000, expires_ms=6000)
        h.clock.advance(5)
        assert await worker.ids(1) == ["a"]
        h.clock.advance(1.001)
        assert await worker.ids() == []

    async def test_due_and_expired_while_nobody_came(self, h: Harness) -> None:
        """J9: a delayed job whose expiry passed before anybody promoted it is not delivered."""
        worker = await h.worker("w", "g")
        await h.add("a", delay_ms=4000, expires_ms=6000)
        h.clock.advance(60)
        assert await worker.ids() == []
        assert await h.accepts("a")

    async def test_each_group_expires_for_itself(self, h: Harness) -> None:
        """J9: where one group has started and another has not, only the other's delivery expires."""
        worker = await h.worker("w", "quick", "slow")
        await h.add("a", expires_ms=5000)
        claim = await worker.one("quick")
        h.clock.advance(5.001)
        assert await worker.ids(group="slow") == []
        assert not await h.accepts("a")
        await worker.settle(RetryLater(claim.key, 1000), group="quick")
        h.clock.advance(1)
        await worker.sweep()
        assert not await h.accepts("a")
        await worker.complete(await worker.one("quick"), group="quick")
        assert await h.accepts("a")
        assert await worker.ids(group="slow") == ["a"]

    async def test_unclaimed_job_expires(self, h: Harness) -> None:
        """J9: an unclaimed job past its expiry goes to nobody."""
        await h.add("a", expires_ms=5000)
        await h.add("b")
        h.clock.advance(5.001)
        assert await (await h.worker("w", "g")).ids() == ["b"]
        assert await h.accepts("a")

    async def test_handed_over_job_still_expires(self, h: Harness) -> None:
        """J9: an unclaimed job keeps its expiry when a group takes it."""
        await h.add("a", expires_ms=5000)
        worker = await h.worker("w", "g")
        h.clock.advance(5.001)
        assert await worker.ids() == []

    async def test_late_group_does_not_get_what_has_expired(self, h: Harness) -> None:
        """J9: a late group's delivery has not started, and expires like any."""
        worker = await h.worker("w1", "g1")
        await h.add("running", "waiting", expires_ms=5000)
        await worker.one()
        h.clock.advance(3)
        newcomer = await h.worker("w2", GroupJoin("g2", start_from="earliest"))
        await newcomer.sweep()
        h.clock.advance(2.001)
        assert await newcomer.ids() == []
        third = await h.worker("w3", GroupJoin("g3", start_from="earliest"))
        await third.sweep()
        assert await third.ids() == []

    async def test_expired_jobs_hide_nothing(self, h: Harness) -> None:
        """J9: one claim finds the live job behind 2,500 expired ones of higher priority."""
        worker = await h.worker("w", "g")
        await h.add(*(f"job {number}" for number in range(2500)), priority=1, expires_ms=1000)
        await h.add("live")
        h.clock.advance(1.001)
        assert await worker.ids(1) == ["live"]

    async def test_many_expire_at_once(self, h: Harness) -> None:
        """J9: 2,500 expired jobs free all their ids, before and after they were swept."""
        worker = await h.worker("w", "g1", "g2")
        names = [f"job {number}" for number in range(2500)]
        await h.add(*names, expires_ms=1000)
        h.clock.advance(1.001)
        assert all(added.created for added in await h.add(*names, expires_ms=1000))
        h.clock.advance(1.001)
        await worker.sweep()
        assert all(added.created for added in await h.add(*names))
        assert await worker.drain("g1") == names

    @limits(max_queue_size=2)
    async def test_swept_jobs_make_room(self, h: Harness) -> None:
        """J9: what has expired and was swept takes no room."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", expires_ms=1000)
        h.clock.advance(1.001)
        await worker.sweep()
        assert [added.created for added in await h.add("c", "d")] == [True, True]

    async def test_next_look_is_not_later_than_an_expiry(self, h: Harness) -> None:
        """J9: `tick` says to come again when the next delivery expires."""
        worker = await h.worker("w", "g")
        await h.add("a", expires_ms=7000)
        tick = await worker.tick()
        assert tick.next_at is not None
        assert h.now < tick.next_at <= h.now + 7001

    @needs("stats")
    async def test_expired_deliveries_are_counted_as_such(self, h: Harness) -> None:
        """J9: in each group that had not started, and once for a job without a group."""
        passing = await h.worker("p", ephemeral("e"))
        await passing.leave()
        await h.add("nobody's", expires_ms=1000)
        h.clock.advance(1.001)
        worker = await h.worker("w", "g1", "g2")
        await h.add("a", "b", expires_ms=1000)
        await worker.one("g1")
        h.clock.advance(1.001)
        await worker.sweep()
        stats = await h.store.stats(h.queue)
        assert (stats.groups["g1"].expired, stats.groups["g2"].expired, stats.expired) == (1, 2, 4)
        assert (stats.pending, stats.unclaimed, stats.processing) == (0, 0, 1)

    @needs("set_paused")
    async def test_paused_queue_expires(self, h: Harness) -> None:
        """L11: jobs of a paused queue become ready and expire."""
        worker = await h.worker("w", "g")
        await h.store.set_paused(h.queue, True)
        await h.add("a", expires_ms=1000)
        h.clock.advance(1.001)
        await worker.sweep()
        assert await h.accepts("a")
        await h.store.set_paused(h.queue, False)
        assert len(await worker.ids()) == 1
