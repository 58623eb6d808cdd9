"""The way out: what `exchange` claims, and how it is settled."""

from __future__ import annotations

import random

import pytest

from checkmate_queue.core.model import (
    MAX_PRIORITY,
    MIN_PRIORITY,
    RECORD_FORMAT,
    Cancelled,
    Done,
    Fail,
    Failure,
    GiveBack,
    NewJob,
    RetryLater,
)
from checkmate_queue.testing.conformance.harness import Harness, ids, unit
from checkmate_queue.testing.conformance.selection import Theme, needs

BOOM = Failure("ValueError", "boom", "Traceback …")


class Delivery(Theme):
    """What a claim hands out, to whom, and what settling does."""

    async def test_higher_priority_first(self, h: Harness) -> None:
        """J4: higher first, over all 32 bits, 0 by default."""
        worker = await h.worker("w", "g")
        for priority in (0, MIN_PRIORITY, 7, MAX_PRIORITY, -1, MAX_PRIORITY - 1, MIN_PRIORITY + 1):
            await h.add(str(priority), priority=priority)
        await h.add("default")
        claims = await worker.claim(100)
        order = [MAX_PRIORITY, MAX_PRIORITY - 1, 7, 0, 0, -1, MIN_PRIORITY + 1, MIN_PRIORITY]
        assert [claim.priority for claim in claims] == order
        assert ids(claims)[3:5] == ["0", "default"]

    async def test_enqueue_order_at_one_priority(self, h: Harness) -> None:
        """J5: undelayed jobs of one priority start in enqueue order, whatever their ids say."""
        worker = await h.worker("w", "g")
        names = [f"job {number * 7919 % 100}" for number in range(100)]
        for name in names:
            await h.add(name)
        assert await worker.drain(batch=7) == names

    async def test_priority_counts_for_each_claim(self, h: Harness) -> None:
        """J5: a higher job that comes later overtakes all that wait."""
        worker = await h.worker("w", "g")
        await h.add("low 1", "low 2", "low 3")
        assert await worker.ids(1) == ["low 1"]
        await h.add("high 1", "high 2", priority=5)
        assert await worker.ids(1) == ["high 1"]
        await h.add("higher", priority=6)
        assert await worker.ids() == ["higher", "high 2", "low 2", "low 3"]

    async def test_random_priorities_drain_in_order(self, h: Harness) -> None:
        """J5: 2,000 jobs of mixed priorities come in order of priority, then of enqueue."""
        worker = await h.worker("w", "g")
        dice = random.Random(5)
        jobs = [NewJob(f"job {number}", b"", dice.randint(-3, 3)) for number in range(2000)]
        await h.store.add(h.queue, [jobs[start : start + 9] for start in range(0, len(jobs), 9)])
        expected = [job.id for job in sorted(jobs, key=lambda job: -job.priority)]
        assert await worker.drain(batch=300) == expected

    async def test_due_jobs_are_part_of_every_claim(self, h: Harness) -> None:
        """J5: a busy worker never starts a lower job while a higher one is due."""
        worker = await h.worker("w", "g")
        await h.add("high", priority=9, delay_ms=1000)
        await h.add("low")
        h.clock.advance(1)
        assert await worker.ids(1) == ["high"]

    async def test_due_jobs_become_ready_in_due_order(self, h: Harness) -> None:
        """J5: delayed jobs of one priority start in the order of their due times."""
        worker = await h.worker("w", "g")
        for millis in (900, 300, 700, 100, 500):
            await h.add(f"after {millis}", delay_ms=millis)
        h.clock.advance(1)
        assert await worker.ids() == [f"after {millis}" for millis in (100, 300, 500, 700, 900)]

    async def test_equal_due_times_keep_enqueue_order(self, h: Harness) -> None:
        """J5: of equal due times the one enqueued first is ready first."""
        worker = await h.worker("w", "g")
        await h.add("z", delay_ms=3000)
        h.clock.advance(1)
        await h.add("y", delay_ms=2000)
        h.clock.advance(1)
        await h.add("b", "a", delay_ms=1000)
        h.clock.advance(1)
        assert await worker.ids() == ["z", "y", "b", "a"]

    async def test_delayed_jobs_queue_up_behind_those_that_were_ready_before(self, h: Harness) -> None:
        """J5: what was made ready first starts first, delayed or not."""
        worker = await h.worker("w", "g")
        await h.add("delayed", delay_ms=2000)
        await h.add("before")
        h.clock.advance(2)
        await worker.tick()
        await h.add("after")
        assert await worker.ids() == ["before", "delayed", "after"]

    async def test_retries_and_delayed_jobs_become_ready_in_due_order(self, h: Harness) -> None:
        """J5: retries and delayed jobes share one due order."""
        worker = await h.worker("w", "g")
        await h.add("r4", "r2")
        later, sooner = await worker.claim(2)
        await worker.settle(RetryLater(later.key, 4000), RetryLater(sooner.key, 2000))
        await h.add("d3", delay_ms=3000)
        await h.add("d1", delay_ms=1000)
        h.clock.advance(5)
        assert await worker.ids() == ["d1", "r2", "d3", "r4"]

    async def test_everything_due_is_made_ready_before_a_claim(self, h: Harness) -> None:
        """J5: 2,500 jobs are due, and the last of them is the highest: it starts first."""
        worker = await h.worker("w", "g")
        await h.add(*(f"job {number}" for number in range(2500)), delay_ms=1000)
        await h.add("high", delay_ms=1001, priority=1)
        h.clock.advance(2)
        assert await worker.ids(2) == ["high", "job 0"]

    async def test_given_back_goes_to_the_front_of_its_priority(self, h: Harness) -> None:
        """J5: a delivery that was given back comes before those that wait at its priority."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        await h.add("low", priority=-1)
        claim = await worker.one()
        await h.add("high", priority=1)
        await worker.settle(GiveBack(claim.key))
        assert await worker.ids() == ["high", "a", "b", "low"]

    async def test_given_back_ones_keep_the_order_of_their_claims(self, h: Harness) -> None:
        """J5: at the front the order is that of the claims, not that of giving back."""
        first, second = await h.worker("w1", "g"), await h.worker("w2", "g")
        await h.add("a", "b", "c", "d", "e")
        a, b = await first.claim(2)
        c, d = await second.claim(2)
        await second.settle(GiveBack(d.key))
        await first.settle(GiveBack(b.key), GiveBack(a.key))
        await second.settle(GiveBack(c.key))
        assert await first.ids() == ["a", "b", "c", "d", "e"]

    async def test_latest_claim_decides_the_order_at_the_front(self, h: Harness) -> None:
        """J5: given back twice, a delivery stands where its latest claim puts it."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c")
        a, b = await worker.claim(2)
        await worker.settle(GiveBack(a.key), GiveBack(b.key))
        assert await worker.ids(1) == ["a"]
        await worker.settle(GiveBack(a.key))
        assert await worker.ids() == ["b", "a", "c"]

    async def test_give_back_counts_nothing(self, h: Harness) -> None:
        """L1: a delivery that was given back has no attempt and no stall more."""
        worker = await h.worker("w", "g")
        await h.add("a")
        for _ in range(5):
            claim = await worker.one()
            assert (claim.attempts, claim.stalls) == (0, 0)
            await worker.settle(GiveBack(claim.key))

    async def test_no_more_than_wanted(self, h: Harness) -> None:
        """G10: a claim takes at most what was asked for, none for 0, and all where that is less."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c", "d")
        assert await worker.ids(0) == []
        assert await worker.ids(1) == ["a"]
        assert await worker.ids(2) == ["b", "c"]
        assert await worker.ids(2) == ["d"]
        assert await worker.ids(2) == []

    async def test_large_claim(self, h: Harness) -> None:
        """G10: 2,500 deliveries in one claim, in order, all of them settled at once."""
        worker = await h.worker("w", "g")
        names = [f"job {number}" for number in range(2500)]
        await h.add(*names)
        claims = await worker.claim(3000)
        assert ids(claims) == names
        await worker.complete(*claims)
        assert await h.accepts("job 0")

    async def test_claim_carries_the_job(self, h: Harness) -> None:
        """J2: a claim has all that the handler's job is made of."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b'{"x":1}', -4, b'{"trace":"1"}'))
        claim = await worker.one()
        assert claim == (claim.key, "a", b'{"x":1}', -4, h.now, 0, 0, b'{"trace":"1"}', RECORD_FORMAT)

    async def test_payload_comes_back_byte_for_byte(self, h: Harness) -> None:
        """J2: data and metadata are opaque bytes below the seam."""
        worker = await h.worker("w", "g")
        payloads = [
            *(b"", b"\x00", b"null", b'"\\u0000"', bytes(range(256)), "„ñ“ 🦆".encode()),
            *(b"\r\n\t'\"\\%s{}$1:?", b"\x00x" * 2**19),
        ]
        await h.add(*(NewJob(f"{n}", data, metadata=data) for n, data in enumerate(payloads)))
        claims = await worker.claim(len(payloads))
        assert [claim.data for claim in claims] == payloads
        assert [claim.metadata for claim in claims] == payloads

    async def test_many_large_payloads(self, h: Harness) -> None:
        """J2: a batch of large payloads goes in and comes out whole."""
        worker = await h.worker("w", "g")
        jobs = [NewJob(f"{number}", bytes([number]) * 200_000) for number in range(40)]
        await h.add(*jobs)
        assert [(claim.job_id, claim.data) for claim in await worker.claim(40)] == [
            (job.id, job.data) for job in jobs
        ]

    async def test_settling_and_claiming_are_one_step(self, h: Harness) -> None:
        """G10: what an exchange settles can be claimed by it: an immediate retry, a give-back."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c")
        a, b, c = await worker.claim(3)
        answer = await worker.exchange(GiveBack(c.key), RetryLater(a.key, 0), Done(b.key), want=9)
        assert [(claim.job_id, claim.attempts) for claim in answer.claims] == [("c", 0), ("a", 1)]

    async def test_exchange_tells_the_time(self, h: Harness) -> None:
        """L3: `now` is the engine's clock, and an unpaused queue says so."""
        worker = await h.worker("w", "g")
        h.clock.advance(3)
        answer = await worker.exchange(want=1)
        assert (answer.now, answer.paused, answer.refused, answer.cancelled) == (h.now, False, [], [])

    async def test_worker_may_end_a_claim_as_cancelled(self, h: Harness) -> None:
        """L12: a claim that its worker settles as cancelled is over, and its id is free."""
        worker = await h.worker("w", "g")
        await h.add("a")
        assert await worker.settle(Cancelled((await worker.one()).key)) == []
        assert await worker.ids() == []
        assert await h.accepts("a")

    async def test_keys_that_are_not_held_are_refused(self, h: Harness) -> None:
        """G8: settlements of what this epoch does not hold in this group are refused, the others apply."""
        mine = await h.worker("w1", "g", "g2")
        other = await h.worker("w2", "g")
        await h.add("a", "b", "c")
        a, b = await mine.claim(2, "g")
        c = await other.one()
        nobodys = (Done(10**9), Done(-b.key))
        assert await mine.settle(Done(c.key), Done(a.key), *nobodys, group="g") == [c.key, 10**9, -b.key]
        assert await mine.settle(Done(b.key), group="g2") == [b.key]
        assert await mine.settle(Done(a.key), group="g") == [a.key]
        assert await other.settle(Done(c.key), Done(b.key)) == [b.key]
        assert await mine.settle(Done(b.key), group="g") == []

    async def test_refused_settlements_change_nothing(self, h: Harness) -> None:
        """G8: no kind of settlement touches a delivery that another holds."""
        mine, other = await h.worker("w1", "g"), await h.worker("w2", "g")
        await h.add("a")
        claim = await mine.one()
        for settlement in (RetryLater(claim.key, 0), Fail(claim.key, BOOM), GiveBack(claim.key)):
            assert (await other.exchange(settlement, want=9)).refused == [claim.key]
        assert await other.ids() == []
        assert not await h.accepts("a")
        await mine.complete(claim)

    @needs("stats", "failed")
    async def test_refused_failure_keeps_no_entry(self, h: Harness) -> None:
        """G8: a refused failure is neither counted nor kept."""
        mine, other = await h.worker("w1", "g"), await h.worker("w2", "g")
        await h.add("a")
        claim = await mine.one()
        assert await other.settle(Fail(claim.key, BOOM)) == [claim.key]
        assert (await h.store.stats(h.queue)).failed == 0
        assert await h.store.failed(h.queue) == []


class LostAnswers(Theme):
    """A repeated exchange strands nothing and does nothing twice."""

    async def test_repeated_exchange_returns_the_same_claims(self, h: Harness) -> None:
        """G7: a repeated n claims nothing more, and returns what the first call claimed."""
        worker = await h.worker("w", "g")
        await h.add("b", "a", "c", "d")
        first = await worker.exchange(want=3)
        h.clock.advance(1)
        await h.add("high", priority=9)
        again = await worker.exchange(want=3, n=1)
        assert again.claims == first.claims
        assert await worker.ids() == ["high", "d"]

    async def test_repeated_exchange_of_nothing_returns_nothing(self, h: Harness) -> None:
        """G7: the answer to a repeated n that claimed nothing stays empty."""
        worker = await h.worker("w", "g")
        await worker.exchange(want=3)
        await h.add("a")
        assert (await worker.exchange(want=3, n=1)).claims == []
        assert await worker.ids() == ["a"]

    async def test_repeated_exchange_settles_once(self, h: Harness) -> None:
        """G7: a repeated n counts no attempt twice, gives nothing back twice, and refuses nothing."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c")
        a, b, c = await worker.claim(3)
        settlements = RetryLater(a.key, 1000), Done(b.key), GiveBack(c.key)
        first = await worker.exchange(*settlements, want=1)
        again = await worker.exchange(*settlements, want=1, n=2)
        assert ids(first.claims) == ids(again.claims) == ["c"]
        assert again.refused == []
        h.clock.advance(1)
        assert [(claim.job_id, claim.attempts) for claim in await worker.claim(9)] == [("a", 1)]

    async def test_repeated_exchange_does_not_settle_what_was_claimed_again(self, h: Harness) -> None:
        """G7: where the first call claimed again what it had given back, the repeat leaves that claim."""
        worker = await h.worker("w", "g")
        await h.add("a")
        claim = await worker.one()
        await worker.exchange(GiveBack(claim.key), want=1)
        again = await worker.exchange(GiveBack(claim.key), want=1, n=2)
        assert ids(again.claims) == ["a"]
        assert await (await h.worker("other", "g")).ids() == []
        await worker.complete(*again.claims)

    @needs("failed", "stats")
    async def test_repeated_failure_is_kept_once(self, h: Harness) -> None:
        """G7: a repeated n keeps one failed entry and counts one."""
        worker = await h.worker("w", "g")
        await h.add("a")
        claim = await worker.one()
        await worker.exchange(Fail(claim.key, BOOM))
        await worker.exchange(Fail(claim.key, BOOM), n=2)
        assert len(await h.store.failed(h.queue)) == 1
        assert (await h.store.stats(h.queue)).failed == 1

    async def test_numbers_out_of_order_raise(self, h: Harness) -> None:
        """G7: any other n raises `ValueError`, and neither settles nor claims."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        for wrong in (0, -1, 2):
            with pytest.raises(ValueError):
                await h.store.exchange(worker.epoch, "g", wrong, [], 1)
        claim = await worker.one()
        await worker.exchange()
        for wrong in (1, 4, 99):
            with pytest.raises(ValueError):
                await worker.exchange(Done(claim.key), want=1, n=wrong)
        await worker.complete(claim)
        assert await worker.ids() == ["b"]

    async def test_each_group_and_epoch_counts_for_itself(self, h: Harness) -> None:
        """G7: n belongs to one group of one epoch."""
        worker, other = await h.worker("w1", "g1", "g2"), await h.worker("w2", "g1")
        await h.add("a", "b", "c")
        for n in (1, 2, 3):
            assert len((await worker.exchange(want=1, group="g1", n=n)).claims) == 1
        assert ids((await worker.exchange(want=1, group="g2", n=1)).claims) == ["a"]
        assert (await other.exchange(want=1, n=1)).claims == []

    async def test_repeat_through_another_store(self, h: Harness) -> None:
        """G7: the answer can be asked for again over another connection."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        claims = await worker.claim(2)
        store = await h.second_store()
        assert (await store.exchange(worker.epoch, "g", 1, [], 2)).claims == claims
        assert (await store.exchange(worker.epoch, "g", 2, [Done(claims[0].key)], 2)).refused == []

    async def test_large_repeated_claim(self, h: Harness) -> None:
        """G7: 1,500 claims are repeated whole and in order."""
        worker = await h.worker("w", "g")
        await h.store.add(h.queue, [unit(f"job {number}", priority=number % 7) for number in range(1500)])
        first = await worker.exchange(want=1500)
        assert len(first.claims) == 1500
        assert (await worker.exchange(want=1500, n=1)).claims == first.claims
