"""What people do to jobs, queues and groups."""

from __future__ import annotations

import pytest

from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.model import (
    CancelResult,
    Claim,
    Fail,
    Failure,
    GiveBack,
    NewJob,
    RetryLater,
    Settlement,
    occurrence_id,
)
from checkmate_queue.testing.conformance.groups import ephemeral
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.leases import give_back, lapsed_of
from checkmate_queue.testing.conformance.retries import fail
from checkmate_queue.testing.conformance.schedules import fire as fire_schedule
from checkmate_queue.testing.conformance.schedules import put
from checkmate_queue.testing.conformance.selection import Theme, all_need, needs


@all_need("cancel")
class Cancelling(Theme):
    """`cancel`."""

    async def test_what_waits_is_removed(self, h: Harness) -> None:
        """L12: delayed, unclaimed and ready jobs are removed, and their ids are free."""
        await h.add("unclaimed")
        assert await h.store.cancel(h.queue, "unclaimed") == CancelResult(1, 0)
        worker = await h.worker("w", "g1", "g2")
        await h.add("ready")
        await h.add("delayed", delay_ms=1000)
        assert await h.store.cancel(h.queue, "ready") == CancelResult(2, 0)
        assert await h.store.cancel(h.queue, "delayed") == CancelResult(1, 0)
        h.clock.advance(2)
        assert await worker.ids(group="g1") == await worker.ids(group="g2") == []
        for name in ("unclaimed", "ready", "delayed"):
            assert await h.accepts(name)

    async def test_waiting_retry_is_removed(self, h: Harness) -> None:
        """L12: a delivery that waits for its retry is removed."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one()).key, 1000))
        assert await h.store.cancel(h.queue, "a") == CancelResult(1, 0)
        h.clock.advance(1)
        assert await worker.ids() == []
        assert await h.accepts("a")

    async def test_given_back_delivery_is_removed(self, h: Harness) -> None:
        """L12: what was given back waits, and is removed from the front like any other."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c")
        a, b = await worker.claim(2)
        await worker.settle(GiveBack(a.key), GiveBack(b.key))
        assert await h.store.cancel(h.queue, "a") == CancelResult(1, 0)
        assert await worker.ids() == ["b", "c"]

    async def test_removing_many_keeps_the_order_of_the_rest(self, h: Harness) -> None:
        """J5: 180 of 300 waiting jobs are removed; the others start in their order."""
        worker = await h.worker("w", "g")
        jobs = [NewJob(f"job {number}", b"", number % 3) for number in range(300)]
        await h.add(*jobs)
        claims = await worker.claim(30)
        await worker.settle(*(GiveBack(claim.key) for claim in claims))
        for number in range(300):
            if number % 5 < 3:
                await h.store.cancel(h.queue, f"job {number}")
        left = [job for number, job in enumerate(jobs) if number % 5 >= 3]
        assert await worker.drain(batch=7) == [job.id for job in sorted(left, key=lambda job: -job.priority)]

    async def test_running_delivery_is_told(self, h: Harness) -> None:
        """L12: its worker hears of it with the next heartbeat and exchange, until it has settled."""
        worker, other = await h.worker("w", "g", "g2"), await h.worker("other", "g")
        await h.add("a")
        claim = await worker.one("g")
        await h.add("b")
        await other.one()
        assert await h.store.cancel(h.queue, "a") == CancelResult(1, 1)
        assert not await h.accepts("a")
        for _ in range(2):
            assert (await worker.heartbeat()).cancelled == [("g", claim.key)]
            assert (await worker.exchange(group="g")).cancelled == [claim.key]
            assert (await worker.exchange(group="g2")).cancelled == []
        assert (await other.heartbeat()).cancelled == []
        await worker.complete(claim, group="g")
        assert (await worker.heartbeat()).cancelled == []
        assert (await worker.exchange(group="g")).cancelled == []
        assert await h.accepts("a")

    async def test_cancelled_claim_is_not_retried(self, h: Harness) -> None:
        """L12: whichever way a cancelled claim is settled, it ends."""
        worker = await h.worker("w", "g")

        async def settled(claim: Claim, settlement: Settlement) -> None:
            await h.store.cancel(h.queue, claim.job_id)
            assert await worker.settle(settlement) == []
            h.clock.advance(10)
            assert await worker.ids() == []
            assert await h.accepts(claim.job_id)

        await h.add("a")
        claim = await worker.one()
        await settled(claim, RetryLater(claim.key, 1000))
        claim = await worker.one()
        await settled(claim, GiveBack(claim.key))
        claim = await worker.one()
        await settled(claim, Fail(claim.key, Failure("E", "m")))

    @needs("stats", "failed")
    async def test_cancelled_claims_count_as_cancelled(self, h: Harness) -> None:
        """L12: neither completed nor failed, and no failed entry is kept."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c", "d", "e")
        a, b, c, d = await worker.claim(4)
        for name in "abcde":
            await h.store.cancel(h.queue, name)
        await worker.complete(a)
        await worker.settle(RetryLater(b.key, 0), Fail(c.key, Failure("E", "m")), GiveBack(d.key))
        stats = await h.store.stats(h.queue)
        assert (stats.cancelled, stats.completed, stats.failed, stats.processing) == (5, 0, 0, 0)
        assert stats.groups["g"].cancelled == 5
        assert await h.store.failed(h.queue) == []

    async def test_cancelled_claim_ends_with_its_lease(self, h: Harness) -> None:
        """L12: a cancelled claim that lapses is not handed on; it ends."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a", "b")
        await worker.claim(2)
        await h.store.cancel(h.queue, "a")
        await h.travel(31, keeper)
        assert [lapsed.claim.job_id for lapsed in await lapsed_of(keeper)] == ["b"]
        assert await h.accepts("a")

    async def test_cancelled_claim_ends_when_its_worker_leaves(self, h: Harness) -> None:
        """L12: leaving gives claims back, but a cancelled one ends."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        await worker.claim(2)
        await h.store.cancel(h.queue, "a")
        await worker.leave()
        assert await (await h.worker("other", "g")).ids() == ["b"]
        assert await h.accepts("a")

    async def test_lapsed_claim_that_waits_for_settlement(self, h: Harness) -> None:
        """L12: a lapsed claim is cancelled like a running one: it ends whichever way it is settled."""
        for group in ("g", "other"):
            worker, keeper = await h.worker("w", "g"), await h.worker(f"keeper of {group}", group)
            await h.add("a")
            await worker.one()
            await h.travel(31, keeper)
            (lapsed,) = await lapsed_of(keeper)
            await h.store.cancel(h.queue, "a")
            await keeper.tick(give_back(lapsed))
            assert await (await h.worker("heir", "g")).ids() == []
            assert await h.accepts("a")
            await h.store.cancel(h.queue, "a")

    async def test_result_counts_every_group(self, h: Harness) -> None:
        """L12: how many deliveries were removed, and how many running ones told; again counts again."""
        worker = await h.worker("w", "g1", "g2", "g3", "g4")
        await h.add("a")
        await worker.one("g1")
        await worker.settle(RetryLater((await worker.one("g2")).key, 60_000), group="g2")
        await worker.complete(await worker.one("g3"), group="g3")
        assert await h.store.cancel(h.queue, "a") == CancelResult(2, 1)
        assert await h.store.cancel(h.queue, "a") == CancelResult(0, 1)

    async def test_unknown_id_is_falsy(self, h: Harness) -> None:
        """L12: nothing to cancel is no error, and nothing else is touched."""
        worker = await h.worker("w", "g")
        await h.add("a", "ab", "A")
        assert not await h.store.cancel(h.queue, "b")
        assert await h.store.cancel(h.queue, "a")
        assert not await h.store.cancel(h.queue, "a")
        assert await worker.ids() == ["ab", "A"]

    async def test_occurrence_of_a_schedule(self, h: Harness) -> None:
        """L12: the id is a user's job's, or else an occurrence's; the schedule goes on."""
        worker = await h.worker("w", "g")
        schedule = await fire_schedule(h, await put(h))
        name = occurrence_id("s", h.now)
        await h.add(NewJob(name, b"mine"))
        assert await h.store.cancel(h.queue, name) == CancelResult(1, 0)
        assert [claim.data for claim in await worker.claim(1)] == [b"data"]
        assert await h.store.cancel(h.queue, name) == CancelResult(0, 1)
        await fire_schedule(h, schedule)
        assert len(await worker.ids()) == 1


@all_need("set_paused")
class Pausing(Theme):
    """`set_paused`."""

    async def test_nothing_is_claimed(self, h: Harness) -> None:
        """L11: a paused queue gives nothing out, says so, and goes on where it stood."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await h.store.set_paused(h.queue, True)
        await h.add("b")
        answer = await worker.exchange(want=5)
        assert (answer.claims, answer.paused) == ([], True)
        await h.store.set_paused(h.queue, False)
        answer = await worker.exchange(want=5)
        assert ([claim.job_id for claim in answer.claims], answer.paused) == (["a", "b"], False)

    async def test_running_deliveries_finish(self, h: Harness) -> None:
        """L11: what runs is settled in a paused queue as ever."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        a, b = await worker.claim(2)
        await h.store.set_paused(h.queue, True)
        await worker.complete(a)
        await worker.settle(RetryLater(b.key, 0))
        assert await h.accepts("a")
        assert await worker.ids() == []

    async def test_jobs_become_ready(self, h: Harness) -> None:
        """L11: delayed jobs are made ready for the groups of their due time, and leases go on."""
        worker = await h.worker("w", "g")
        await h.store.set_paused(h.queue, True)
        await h.add("a", delay_ms=1000)
        h.clock.advance(2)
        assert (await worker.tick()).readied == 1
        later = await h.worker("later", "g2")
        await h.store.set_paused(h.queue, False)
        assert await later.ids() == []
        assert await worker.ids() == ["a"]

    async def test_schedules_go_on(self, h: Harness) -> None:
        """L11: a paused queue fires, under the rule that schedules never pile up."""
        worker = await h.worker("w", "g")
        await h.store.set_paused(h.queue, True)
        await fire_schedule(h, await fire_schedule(h, await put(h)))
        await h.store.set_paused(h.queue, False)
        assert len(await worker.ids()) == 1

    async def test_only_this_queue(self, h: Harness) -> None:
        """L11: a pause holds for one queue."""
        other = await h.on("other")
        worker = await other.worker("w", "g")
        await h.store.set_paused(h.queue, True)
        await other.add("a")
        assert await worker.ids() == ["a"]

    async def test_pausing_twice(self, h: Harness) -> None:
        """L11: a pause is a state, not a count."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await h.store.set_paused(h.queue, True)
        await h.store.set_paused(h.queue, True)
        await h.store.set_paused(h.queue, False)
        assert await worker.ids() == ["a"]

    @needs("paused")
    async def test_every_process_sees_it(self, h: Harness) -> None:
        """L11: the pause is stored."""
        second = await h.second_store()
        assert not await second.paused(h.queue)
        await h.store.set_paused(h.queue, True)
        assert await second.paused(h.queue)
        worker = await h.through(second).worker("w", "g")
        await h.add("a")
        assert await worker.ids() == []
        await second.set_paused(h.queue, False)
        assert not await h.store.paused(h.queue)


@all_need("drop_group", "rename_group")
class DroppingAndRenaming(Theme):
    """`drop_group` and `rename_group`."""

    async def test_dropped_group_is_gone(self, h: Harness) -> None:
        """G4: its deliveries end with it, the others' stay; an unknown group is False."""
        gone, worker = await h.worker("w1", "gone"), await h.worker("w2", "g")
        await h.add("a", "b", "c")
        await gone.settle(RetryLater((await gone.one()).key, 1000))
        await gone.leave()
        assert await h.store.drop_group(h.queue, "gone") is True
        assert await h.store.drop_group(h.queue, "gone") is False
        assert await h.store.drop_group(h.queue, "never") is False
        await h.add("d")
        assert await worker.drain() == ["a", "b", "c", "d"]
        assert await h.accepts("a")
        h.clock.advance(1)
        again = await h.worker("w3", "gone")
        assert await again.ids() == []

    async def test_last_group_can_be_dropped_by_hand(self, h: Harness) -> None:
        """G2: its deliveries end, and do not become unclaimed again."""
        await (await h.worker("w", "g")).leave()
        await h.add("a", "b")
        await h.store.drop_group(h.queue, "g")
        assert await (await h.worker("w", "g")).ids() == []
        assert await h.accepts("a")

    async def test_dropping_promotes_first(self, h: Harness) -> None:
        """G1: a job that is due already went to the group, and ends with it."""
        await (await h.worker("w", "g")).leave()
        await h.add("a", delay_ms=1000)
        h.clock.advance(1)
        await h.store.drop_group(h.queue, "g")
        assert await (await h.worker("w", "g")).ids() == []

    async def test_group_with_a_live_consumer_stays(self, h: Harness) -> None:
        """G4: neither dropped nor renamed while somebody consumes it."""
        worker = await h.worker("w", "g")
        await h.add("a")
        with pytest.raises(InvalidArgumentError):
            await h.store.drop_group(h.queue, "g")
        with pytest.raises(InvalidArgumentError):
            await h.store.rename_group(h.queue, "g", "new")
        assert await worker.ids() == ["a"]

    async def test_dead_consumer_is_none(self, h: Harness) -> None:
        """G4: a group whose only worker lost its lease can be dropped, reaped or not."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "other")
        await h.add("a")
        await worker.one()
        await h.travel(31, keeper)
        assert await h.store.drop_group(h.queue, "g")
        assert await worker.is_dead()
        assert await lapsed_of(keeper) == []
        assert await keeper.drain() == ["a"]
        assert await h.accepts("a")

    async def test_renamed_group_keeps_everything(self, h: Harness) -> None:
        """G4: deliveries, their order and attempts, and what comes later, are under the new name."""
        worker = await h.worker("w", "old")
        await h.add("a", "b", "c")
        await h.add("high", priority=2)
        await h.add("later", delay_ms=5000)
        (high,) = await worker.claim(1)
        a = await worker.one()
        await worker.settle(RetryLater(high.key, 1000), GiveBack(a.key))
        await worker.leave()
        await h.store.rename_group(h.queue, "old", "new")
        await h.add("d")
        h.clock.advance(6)
        stranger = await h.worker("w1", "old")
        assert await stranger.ids() == []
        claims = await (await h.worker("w2", "new")).claim(9)
        order = [(claim.job_id, claim.attempts) for claim in claims]
        assert order == [("high", 1), ("a", 0), ("b", 0), ("c", 0), ("d", 0), ("later", 0)]

    @needs("failed", "retry_failed")
    async def test_failed_entries_are_renamed_along(self, h: Harness) -> None:
        """G4: what failed in the group can be retried under the new name."""
        worker = await h.worker("w", "old", "other")
        await h.add("a")
        await fail(worker, "a", group="old")
        await worker.leave("old")
        await h.store.rename_group(h.queue, "old", "new")
        assert [entry.group for entry in await h.store.failed(h.queue)] == ["new"]
        assert len(await h.store.failed(h.queue, group="new")) == 1
        await worker.drain("other")
        assert await h.store.retry_failed(h.queue, "a", "new") == 1
        assert await (await h.worker("w2", "new")).ids() == ["a"]

    async def test_lapsed_claims_are_renamed_along(self, h: Harness) -> None:
        """G4: claims of the group's dead worker are handed on under the new name."""
        worker, keeper = await h.worker("w", "old"), await h.worker("keeper", "other")
        await h.add("a", "b")
        await worker.claim(2)
        await h.travel(31, keeper)
        await h.store.rename_group(h.queue, "old", "new")
        lapsed = await lapsed_of(keeper)
        assert [item.group for item in lapsed] == ["new", "new"]
        await keeper.tick(*map(give_back, lapsed))
        assert await (await h.worker("w2", "new")).ids() == ["a", "b"]

    async def test_renaming_needs_a_known_old_and_a_free_new_name(self, h: Harness) -> None:
        """G4: otherwise it raises, and nothing changes."""
        await (await h.worker("w", "g1", "g2")).leave()
        await h.add("a")
        for old, new in (("unknown", "new"), ("g1", "g2"), ("g1", "g1")):
            with pytest.raises(InvalidArgumentError):
                await h.store.rename_group(h.queue, old, new)
        worker = await h.worker("w", "g1", "g2")
        assert await worker.ids(group="g1") == await worker.ids(group="g2") == ["a"]

    @needs("stats")
    async def test_lifetime_counts(self, h: Harness) -> None:
        """L3: those of a dropped group stay in the queue's, those of a renamed one go along."""
        worker = await h.worker("w", "g", ephemeral("e"))
        await h.add("a", "b", "c")
        await worker.complete(await worker.one("g"), group="g")
        await worker.leave()
        await h.store.rename_group(h.queue, "g", "new")
        assert (await h.store.stats(h.queue)).groups["new"].completed == 1
        await h.store.drop_group(h.queue, "new")
        stats = await h.store.stats(h.queue)
        assert (stats.completed, stats.expired, stats.pending, dict(stats.groups)) == (1, 5, 0, {})
