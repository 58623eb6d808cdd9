"""Consumer groups: who gets which jobs."""

from __future__ import annotations

from checkmate_queue.core.model import Fail, Failure, GroupJoin, RetryLater
from checkmate_queue.testing.conformance.harness import Harness, Worker
from checkmate_queue.testing.conformance.selection import Theme, needs

DAY = 86_400.0


def late(name: str) -> GroupJoin:
    """A group that wants what others have not finished."""
    return GroupJoin(name, start_from="earliest")


def ephemeral(name: str) -> GroupJoin:
    """A group that goes with its last consumer."""
    return GroupJoin(name, ephemeral=True)


class Groups(Theme):
    """Fan-out, competition and independence."""

    async def test_every_group_gets_every_job_once(self, h: Harness) -> None:
        """G1: a job goes to every registered group, once."""
        worker = await h.worker("w1", "g1", "g2")
        other = await h.worker("w2", "g3")
        await h.add("a", "b")
        assert await worker.drain("g1") == ["a", "b"]
        assert await worker.drain("g2") == ["a", "b"]
        assert await other.drain() == ["a", "b"]
        assert await h.accepts("a")

    async def test_consumers_of_one_group_compete(self, h: Harness) -> None:
        """G1: within a group each job goes to one worker."""
        first, second = await h.worker("w1", "g"), await h.worker("w2", "g")
        await h.add("a", "b", "c")
        assert await first.ids(1) == ["a"]
        assert await second.ids(1) == ["b"]
        assert await first.ids() == ["c"]
        assert await second.ids() == []

    async def test_later_group_starts_with_what_comes(self, h: Harness) -> None:
        """G3: a group that registers later gets what becomes ready from then on."""
        first = await h.worker("w1", "g1")
        await h.add("before")
        second = await h.worker("w2", "g2")
        await h.add("after")
        assert await second.ids() == ["after"]
        assert await first.ids() == ["before", "after"]

    async def test_delayed_job_goes_to_groups_of_its_due_time(self, h: Harness) -> None:
        """G1: a delayed job goes to groups registered at its due time, those after its `add` included."""
        await h.worker("w1", "g1")
        await h.add("a", delay_ms=5000)
        h.clock.advance(3)
        second = await h.worker("w2", "g2")
        h.clock.advance(3)
        third = await h.worker("w3", "g3")
        assert await third.ids() == []
        assert await second.ids() == ["a"]

    async def test_group_that_joins_when_a_job_is_due_already(self, h: Harness) -> None:
        """G1: `join` promotes first: who comes after the due time is too late."""
        first = await h.worker("w1", "g1")
        await h.add("a", delay_ms=5000)
        h.clock.advance(5.001)
        second = await h.worker("w2", "g2")
        assert await second.ids() == []
        assert await first.ids() == ["a"]

    async def test_group_that_leaves_when_a_job_is_due_already(self, h: Harness) -> None:
        """G1: `leave` promotes first: a due job went to the group that goes, and ends with it."""
        worker = await h.worker("w1", ephemeral("g"))
        await h.add("a", delay_ms=5000)
        h.clock.advance(5.001)
        await worker.leave()
        later = await h.worker("w2", "durable")
        assert await later.ids() == []
        assert await h.accepts("a")

    async def test_group_that_left_before_the_due_time(self, h: Harness) -> None:
        """G1: a group that is gone at the due time gets nothing: the job is unclaimed."""
        worker = await h.worker("w1", ephemeral("g"))
        await h.add("a", delay_ms=5000)
        await worker.leave()
        h.clock.advance(5.001)
        assert await (await h.worker("w2", "durable")).ids() == ["a"]

    async def test_retry_stays_in_its_group(self, h: Harness) -> None:
        """G1: a retry is no new job: neither older nor newer groups see it."""
        worker = await h.worker("w1", "g1", "g2")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one("g1")).key, 1000), group="g1")
        assert await worker.drain("g2") == ["a"]
        later = await h.worker("w2", "g3")
        h.clock.advance(1)
        assert await worker.ids(group="g2") == []
        assert await later.ids() == []
        assert await worker.ids(group="g1") == ["a"]

    async def test_groups_have_orders_of_their_own(self, h: Harness) -> None:
        """G5: priority order holds in each group, whatever the others did."""
        worker = await h.worker("w", "fast", "slow")
        await h.add("low")
        assert await worker.drain("fast") == ["low"]
        await h.add("high", priority=3)
        assert await worker.ids(group="fast") == ["high"]
        assert await worker.ids(group="slow") == ["high", "low"]

    async def test_failures_of_one_group_do_not_reach_another(self, h: Harness) -> None:
        """G5: attempts and failures belong to the group that had them."""
        worker = await h.worker("w", "bad", "good")
        await h.add("a", "b")
        a, b = await worker.claim(2, "bad")
        await worker.settle(RetryLater(a.key, 0), Fail(b.key, Failure("E", "m")), group="bad")
        assert [(c.job_id, c.attempts) for c in await worker.claim(9, "bad")] == [("a", 1)]
        assert [(c.job_id, c.attempts) for c in await worker.claim(9, "good")] == [("a", 0), ("b", 0)]

    async def test_backlog_of_one_group_does_not_slow_another(self, h: Harness) -> None:
        """G5: a group that claims nothing keeps its backlog, and the other drains its own."""
        worker = await h.worker("w", "idle", "busy")
        names = [f"job {number}" for number in range(1200)]
        await h.add(*names)
        assert await worker.drain("busy") == names
        assert await worker.ids(3, "idle") == names[:3]

    async def test_registration_outlives_consumers(self, h: Harness) -> None:
        """G4: what is added while all workers of a durable group are down waits for one that returns."""
        worker = await h.worker("w1", "g")
        await worker.leave()
        await h.add("a", "b")
        assert await (await h.worker("w2", "g")).ids() == ["a", "b"]

    async def test_registration_outlives_a_lost_lease(self, h: Harness) -> None:
        """G4: a durable group gets jobs also when its last worker died."""
        await h.worker("w1", "g")
        keeper = await h.worker("keeper", "other")
        await h.travel(31, keeper)
        await keeper.tick()
        await h.add("a")
        assert await (await h.worker("w2", "g")).ids() == ["a"]

    async def test_joining_again_adds_groups(self, h: Harness) -> None:
        """G2: a living worker that joins again keeps its epoch, its claims and its groups."""
        worker = await h.worker("w", "g1")
        await h.add("a")
        claim = await worker.one()
        again = await worker.rejoin("g2")
        assert again.epoch == worker.epoch
        await h.add("b")
        assert await again.ids() == ["b"]
        assert await worker.ids() == ["b"]
        await worker.complete(claim)

    async def test_joining_again_with_the_same_names_changes_nothing(self, h: Harness) -> None:
        """G3: a known group keeps its deliveries, and `start_from` means nothing to it."""
        other = await h.worker("w1", "g1")
        worker = await h.worker("w2", "g2")
        await h.add("a")
        assert await worker.drain() == ["a"]
        again = await worker.rejoin(late("g2"))
        assert again.epoch == worker.epoch
        assert await worker.ids() == []
        assert await other.ids() == ["a"]

    async def test_leaving_gives_claims_back(self, h: Harness) -> None:
        """L1: the claims of who leaves go to the front, without a stall."""
        first, second = await h.worker("w1", "g"), await h.worker("w2", "g")
        await h.add("a", "b", "c")
        await first.claim(2)
        await first.leave()
        claims = await second.claim(9)
        assert [(c.job_id, c.attempts, c.stalls) for c in claims] == [("a", 0, 0), ("b", 0, 0), ("c", 0, 0)]

    async def test_leaving_one_group_keeps_the_other(self, h: Harness) -> None:
        """G4: with its last group the epoch ends, not before."""
        worker = await h.worker("w1", "g1", "g2")
        other = await h.worker("w2", "g1")
        await h.add("a")
        await worker.claim(1, "g1")
        kept = await worker.one("g2")
        await worker.leave("g1")
        assert await other.ids() == ["a"]
        await worker.complete(kept, group="g2")
        assert not await worker.is_dead()
        await worker.leave("g2")
        assert await worker.is_dead()

    async def test_leaving_what_is_unknown_is_no_error(self, h: Harness) -> None:
        """G4: unknown groups, and epochs that are gone, may leave again."""
        worker = await h.worker("w", "g")
        await worker.leave("never joined")
        assert not await worker.is_dead()
        await worker.leave()
        await worker.leave()
        await worker.leave("g", unregister=True)
        await h.add("a")
        assert await (await h.worker("w2", "g")).ids() == ["a"]

    async def test_unregistering_drops_a_group_with_its_last_consumer(self, h: Harness) -> None:
        """G4: with `unregister` a durable group goes, once nobody is left in it."""
        first, second = await h.worker("w1", "g", "other"), await h.worker("w2", "g")
        await h.add("a")
        await first.leave("g", unregister=True)
        assert await second.ids(1) == ["a"]
        await h.add("b")
        await second.leave(unregister=True)
        await h.add("c")
        assert await (await h.worker("w3", "g")).ids() == []
        assert await first.ids(group="other") == ["a", "b", "c"]

    async def test_unregistering_takes_no_other_group_along(self, h: Harness) -> None:
        """G4: `unregister` concerns the groups that are named."""
        worker = await h.worker("w1", "g1", "g2")
        await worker.leave("g1", unregister=True)
        await h.add("a")
        assert await worker.ids(group="g2") == ["a"]

    @needs("groups")
    async def test_groups_are_listed_with_their_workers(self, h: Harness) -> None:
        """G4: a listing shows kind, stalls, live workers and the time of registration."""
        start = h.now
        first = await h.worker("w1", GroupJoin("b", max_stalls=5), ephemeral("a"))
        h.clock.advance(1)
        await h.worker("w2", GroupJoin("b", max_stalls=2))
        listed = [
            (group.name, group.ephemeral, group.max_stalls, group.workers, group.registered_at)
            for group in await h.store.groups(h.queue)
        ]
        assert listed == [("a", True, 3, 1, start), ("b", False, 2, 2, start)]
        await first.leave()
        assert [(group.name, group.workers) for group in await h.store.groups(h.queue)] == [("b", 1)]


class Earliest(Theme):
    """A late group that wants everything unfinished."""

    async def test_gets_what_some_group_has_not_finished(self, h: Harness) -> None:
        """G3: ready, running and retrying jobs come, finished ones don't, in enqueue order."""
        worker = await h.worker("w1", "g1")
        await h.add("done", "running", "retrying", "ready")
        done, _, retrying = await worker.claim(3)
        await worker.complete(done)
        await worker.settle(RetryLater(retrying.key, 60_000))
        newcomer = await h.worker("w2", late("g2"))
        await h.add("later")
        assert await self.fill(newcomer) == ["running", "retrying", "ready", "later"]
        assert await self.fill(newcomer) == []

    async def test_starts_afresh(self, h: Harness) -> None:
        """G5: attempts of others don't come along, priorities do."""
        worker = await h.worker("w1", "g1")
        await h.add("low", "low too")
        await h.add("high", priority=4)
        claims = await worker.claim(3)
        await worker.settle(*(RetryLater(claim.key, 0) for claim in claims))
        newcomer = await h.worker("w2", late("g2"))
        await newcomer.sweep()
        order = [(claim.job_id, claim.attempts) for claim in await newcomer.claim(9)]
        assert order == [("high", 0), ("low", 0), ("low too", 0)]

    async def test_delayed_jobs_come_once_and_when_due(self, h: Harness) -> None:
        """G3: a start-delayed job is not due yet, and comes once."""
        await h.worker("w1", "g1")
        await h.add("a", delay_ms=1000)
        newcomer = await h.worker("w2", late("g2"))
        assert await self.fill(newcomer) == []
        h.clock.advance(1)
        assert await self.fill(newcomer) == ["a"]

    async def test_unclaimed_jobs_come_once(self, h: Harness) -> None:
        """G2: what the first group gets as unclaimed it does not get again as earliest."""
        await h.add("a", "b")
        assert await self.fill(await h.worker("w", late("g"))) == ["a", "b"]

    async def test_more_than_one_batch(self, h: Harness) -> None:
        """G3: 2,500 unfinished jobs all come, in enqueue order."""
        await h.worker("w1", "g1")
        names = [f"job {number}" for number in range(2500)]
        await h.add(*names)
        assert await self.fill(await h.worker("w2", late("g2"))) == names

    async def test_id_stays_taken_until_the_newcomer_is_done(self, h: Harness) -> None:
        """J7: the newcomer's delivery keeps the job alive."""
        worker = await h.worker("w1", "g1")
        await h.add("a")
        newcomer = await h.worker("w2", late("g2"))
        await newcomer.sweep()
        await worker.drain()
        assert not await h.accepts("a")
        await newcomer.drain()
        assert await h.accepts("a")

    @needs("stats")
    async def test_newcomers_backlog_is_counted(self, h: Harness) -> None:
        """L3: the deliveries of the newcomer are pending."""
        worker = await h.worker("w1", "g1")
        await h.add("a", "b", "c")
        await worker.claim(1)
        await (await h.worker("w2", late("g2"))).sweep()
        stats = await h.store.stats(h.queue)
        assert (stats.pending, stats.groups["g1"].pending, stats.groups["g2"].pending) == (5, 2, 3)

    async def fill(self, newcomer: Worker) -> list[str]:
        """Drain a group that may be filled in batches by later verbs."""
        got: list[str] = []
        for _ in range(10):
            await newcomer.sweep()
            got += await newcomer.drain()
        return got
