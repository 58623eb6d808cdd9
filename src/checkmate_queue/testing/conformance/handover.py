"""Claims of workers that died, and those that settle them."""

from __future__ import annotations

from checkmate_queue.core.model import (
    Done,
    Fail,
    GiveBack,
    GroupJoin,
    LapsedClaim,
    LapseSettlement,
    RetryLater,
)
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.leases import STALLED, give_back, lapsed_of
from checkmate_queue.testing.conformance.selection import Theme, needs


class Handover(Theme):
    """From a dead epoch to the one that ticked, and on to a settlement."""

    async def test_lapsed_claim_says_all_that_a_decision_needs(self, h: Harness) -> None:
        """G9: the claim comes with its group, that group's `max_stalls`, and this stall counted."""
        worker = await h.worker("w", GroupJoin("g", max_stalls=7))
        keeper = await h.worker("keeper", "other")
        await h.add("a", priority=4)
        claim = await worker.one()
        await h.travel(31, keeper)
        assert await lapsed_of(keeper) == [LapsedClaim("g", 7, claim._replace(stalls=1))]

    async def test_max_stalls_is_as_given_last(self, h: Harness) -> None:
        """G9: whoever joins last says how many stalls the group allows."""
        worker = await h.worker("w", GroupJoin("g", max_stalls=7))
        await h.add("a")
        await worker.one()
        keeper = await h.worker("keeper", GroupJoin("g", max_stalls=2))
        await h.travel(31, keeper)
        assert [lapsed.max_stalls for lapsed in await lapsed_of(keeper)] == [2]

    async def test_lapsed_claims_are_held_by_one_until_settled(self, h: Harness) -> None:
        """G7: they come with every tick of their holder, and to nobody else; nobody can claim them."""
        worker = await h.worker("w", "g")
        keeper, other = await h.worker("keeper", "g"), await h.worker("other", "g")
        await h.add("a", "b")
        await worker.claim(2)
        await h.travel(31, keeper, other)
        first = await lapsed_of(keeper)
        assert await lapsed_of(other) == []
        assert await other.ids() == []
        assert await lapsed_of(keeper) == first
        tick = await keeper.tick(give_back(first[0]))
        assert tick.lapsed == [first[1]]
        assert await other.ids() == ["a"]
        assert not await h.accepts("b")

    async def test_front_in_the_order_of_claims(self, h: Harness) -> None:
        """G7: lapsed and given-back deliveries come before all that wait, in the order of their claims."""
        dying, stopping = await h.worker("w1", "g"), await h.worker("w2", "g")
        keeper = await h.worker("keeper", "g")
        await h.add("a", "b", "c", "d")
        await h.add("high", priority=1)
        assert await dying.ids(1) == ["high"]
        await dying.claim(2)
        c = await stopping.one()
        await h.travel(31, keeper, stopping)
        lapsed = await lapsed_of(keeper)
        await stopping.settle(GiveBack(c.key))
        await keeper.tick(*(give_back(item) for item in reversed(lapsed)))
        assert await keeper.ids() == ["high", "a", "b", "c", "d"]

    async def test_lost_leases_use_up_no_attempt(self, h: Harness) -> None:
        """G9: stalls are counted apart from attempts, and both are kept."""
        keeper = await h.worker("keeper", "other")
        worker = await h.worker("first", "g")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one()).key, 0))
        for stalls in (1, 2, 3):
            worker = await h.worker(f"w{stalls}", "g")
            claim = await worker.one()
            assert (claim.attempts, claim.stalls) == (1, stalls - 1)
            await h.travel(31, keeper)
            (lapsed,) = await lapsed_of(keeper)
            assert (lapsed.claim.attempts, lapsed.claim.stalls) == (1, stalls)
            await keeper.tick(give_back(lapsed))
        last = await h.worker("last", "g")
        await last.settle(RetryLater((await last.one()).key, 0))
        claim = await last.one()
        assert (claim.attempts, claim.stalls) == (2, 3)

    async def test_stalled_delivery_can_fail(self, h: Harness) -> None:
        """G9: a lapse settled as failed ends the delivery."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        await h.travel(31, keeper)
        (lapsed,) = await lapsed_of(keeper)
        tick = await keeper.tick(LapseSettlement("g", Fail(lapsed.claim.key, STALLED, attempt=False)))
        assert tick.lapsed == []
        assert await keeper.ids() == []
        assert await h.accepts("a")

    @needs("failed")
    async def test_stall_is_no_attempt_in_the_failed_entry(self, h: Harness) -> None:
        """G9: the entry of a stalled delivery has the attempts that handlers made."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one()).key, 0))
        await worker.one()
        await h.travel(31, keeper)
        (lapsed,) = await lapsed_of(keeper)
        await keeper.tick(LapseSettlement("g", Fail(lapsed.claim.key, STALLED, attempt=False)))
        (entry,) = await h.store.failed(h.queue)
        assert (entry.attempts, entry.failure, entry.group) == (1, STALLED, "g")

    async def test_lapse_of_a_group_the_ticker_does_not_consume(self, h: Harness) -> None:
        """G7: whoever consumes the queue hands on for all its groups."""
        worker = await h.worker("w", "g1", "g2")
        keeper = await h.worker("keeper", "other")
        await h.add("a")
        await worker.claim(1, "g1")
        await worker.claim(1, "g2")
        await h.travel(31, keeper)
        lapsed = await lapsed_of(keeper)
        assert sorted(item.group for item in lapsed) == ["g1", "g2"]
        await keeper.tick(*map(give_back, lapsed))
        heir = await h.worker("heir", "g1", "g2")
        assert await heir.ids(group="g1") == ["a"]
        assert await heir.ids(group="g2") == ["a"]

    async def test_settlements_of_what_is_not_held_are_passed_over(self, h: Harness) -> None:
        """G8: a tick settles only lapsed claims of its own epoch, in their group."""
        worker = await h.worker("w", "g")
        keeper, other = await h.worker("keeper", "g"), await h.worker("other", "g")
        await h.add("a", "b")
        await worker.one()
        running = await other.one()
        await h.travel(31, keeper, other)
        (lapsed,) = await lapsed_of(keeper)
        done = LapseSettlement("g", Done(lapsed.claim.key))
        await other.tick(done, LapseSettlement("g", Done(running.key)), LapseSettlement("g", Done(10**9)))
        await keeper.tick(LapseSettlement("nowhere", Done(lapsed.claim.key)))
        assert await lapsed_of(keeper) == [lapsed]
        await other.complete(running)

    async def test_repeated_tick_settles_once(self, h: Harness) -> None:
        """G7: a tick that is repeated after a lost answer gives nothing back twice."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a", "b")
        await worker.one()
        await h.travel(31, keeper)
        (lapsed,) = await lapsed_of(keeper)
        await keeper.tick(give_back(lapsed))
        claim = await keeper.one()
        assert (await keeper.tick(give_back(lapsed))).lapsed == []
        assert await keeper.ids() == ["b"]
        await keeper.complete(claim)

    async def test_holder_dies_too(self, h: Harness) -> None:
        """G9: a lapsed claim whose holder dies is handed on without a second stall, its own with one."""
        worker, holder = await h.worker("w", "g"), await h.worker("holder", "g")
        keeper = await h.worker("keeper", "g")
        await h.add("a", "b")
        await worker.one()
        await h.travel(31, keeper, holder)
        assert len(await lapsed_of(holder)) == 1
        assert (await holder.one()).job_id == "b"
        await h.travel(31, keeper)
        lapsed = await lapsed_of(keeper)
        assert sorted((item.claim.job_id, item.claim.stalls) for item in lapsed) == [("a", 1), ("b", 1)]
        await keeper.tick(*map(give_back, lapsed))
        assert await keeper.ids() == ["a", "b"]

    async def test_holder_leaves(self, h: Harness) -> None:
        """G7: lapsed claims of who leaves without having settled them are not lost."""
        worker, holder = await h.worker("w", "g"), await h.worker("holder", "g")
        keeper = await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        await h.travel(31, keeper, holder)
        assert len(await lapsed_of(holder)) == 1
        await holder.leave()
        await h.travel(31, keeper)
        await keeper.tick(*map(give_back, await lapsed_of(keeper)))
        assert await keeper.ids() == ["a"]

    async def test_holder_outside_the_group_leaves(self, h: Harness) -> None:
        """G7: the same where the holder never joined the group of the lapsed claim."""
        worker, holder = await h.worker("w", "g"), await h.worker("holder", "other")
        await h.add("a")
        await worker.one()
        keeper = await h.worker("keeper", "g")
        await h.travel(31, keeper, holder)
        assert len(await lapsed_of(holder)) == 1
        await holder.leave()
        await h.travel(31, keeper)
        await keeper.tick(*map(give_back, await lapsed_of(keeper)))
        assert await keeper.ids() == ["a"]

    async def test_dead_worker_leaves(self, h: Harness) -> None:
        """G8: an epoch that is dead gives nothing back by leaving: its claims lapse, with a stall."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        await h.travel(31, keeper)
        await worker.leave()
        assert await keeper.ids() == []
        assert [lapsed.claim.stalls for lapsed in await lapsed_of(keeper)] == [1]

    async def test_two_workers_die(self, h: Harness) -> None:
        """G7: all lapsed claims of all dead workers come, each once."""
        dying = [await h.worker(f"w{number}", "g") for number in range(5)]
        keeper = await h.worker("keeper", "g")
        await h.add(*(f"job {number}" for number in range(10)))
        for worker in dying:
            await worker.claim(2)
        await h.travel(31, keeper)
        found = {(lapsed.claim.job_id, lapsed.claim.stalls) for lapsed in await lapsed_of(keeper)}
        assert found == {(f"job {number}", 1) for number in range(10)}

    async def test_tick_tells_what_it_made_ready(self, h: Harness) -> None:
        """G7: `readied` counts due jobs, due retries and what the settlements gave back."""
        worker, keeper = await h.worker("w", "g", "g2"), await h.worker("keeper", "g")
        await h.add("a", "b")
        await h.add("c", delay_ms=32_000)
        retried, _ = await worker.claim(2, "g")
        await worker.settle(RetryLater(retried.key, 32_000), group="g")
        await h.travel(31, keeper)
        first = await keeper.tick()
        assert (first.readied, first.pending) == (0, 2)
        await h.travel(1, keeper)
        assert (await keeper.tick(*map(give_back, first.lapsed))).readied == 4
        assert (await keeper.tick()).readied == 0

    async def test_more_claims_than_one_batch(self, h: Harness) -> None:
        """G7: the 2,500 claims of one dead worker come in batches, each once; it is dead at once."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        names = [f"job {number}" for number in range(2500)]
        await h.add(*names)
        await worker.claim(2500)
        await h.travel(31, keeper)
        tick = await keeper.tick()
        assert tick.more
        assert await worker.is_dead()
        found: list[str] = []
        for _ in range(20):
            assert len(tick.lapsed) <= 1000
            found += [lapsed.claim.job_id for lapsed in tick.lapsed]
            tick = await keeper.tick(*map(give_back, tick.lapsed))
            if not tick.lapsed and not tick.more:
                break
        assert sorted(found) == sorted(names)
        assert await keeper.drain() == names

    async def test_retry_that_waits_outlives_its_worker(self, h: Harness) -> None:
        """G7: a delivery that waits for its retry belongs to nobody, and is no lapse."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one()).key, 60_000))
        await h.travel(61, keeper)
        assert await lapsed_of(keeper) == []
        claim = await keeper.one()
        assert (claim.job_id, claim.stalls, claim.attempts) == ("a", 0, 1)

    @needs("stats")
    async def test_lapsed_claims_are_processing(self, h: Harness) -> None:
        """L3: a lapsed claim that is held for settlement counts as `processing`."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a", "b")
        await worker.claim(2)
        await h.travel(31, keeper)
        lapsed = await lapsed_of(keeper)
        assert (await h.store.stats(h.queue)).processing == 2
        await keeper.tick(give_back(lapsed[0]), LapseSettlement("g", Done(lapsed[1].claim.key)))
        stats = await h.store.stats(h.queue)
        assert (stats.processing, stats.pending, stats.completed) == (0, 1, 1)

    @needs("cancel")
    async def test_lapsed_claim_whose_keeper_leaves_its_group(self, h: Harness) -> None:
        """L12: a leaver's own cancelled claims end; one that it holds for settlement ends when settled."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g", "other")
        await h.worker("third", "g", lease=600)
        await h.add("a")
        await worker.one()
        await keeper.drain("other")
        await h.travel(31, keeper)
        (lapsed,) = await lapsed_of(keeper)
        await h.store.cancel(h.queue, "a")
        await keeper.leave("g")
        assert not await h.accepts("a")
        await keeper.tick(give_back(lapsed))
        assert await h.accepts("a")
