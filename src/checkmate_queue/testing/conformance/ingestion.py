"""The way in: `add`."""

from __future__ import annotations

import pytest

from checkmate_queue.core.model import Added, Done, GroupJoin, NewJob, QueueFull, RetryLater
from checkmate_queue.store import UnknownQueueError
from checkmate_queue.testing.conformance.harness import Harness, ids, unit
from checkmate_queue.testing.conformance.selection import Theme, limits, needs


class Ingestion(Theme):
    """What `add` stores, refuses and answers."""

    async def test_added_jobs_are_answered_in_order(self, h: Harness) -> None:
        """J7: each job of a unit is answered with its id, as created."""
        assert await h.add("b", "a") == [Added("b", True), Added("a", True)]

    async def test_no_units_and_empty_units_are_answered_as_such(self, h: Harness) -> None:
        """J7: one answer for each unit and each job, also where there are none."""
        assert await h.store.add(h.queue, []) == []
        assert await h.store.add(h.queue, [[], unit("a"), []]) == [[], [Added("a", True)], []]

    async def test_unknown_queue_is_refused(self, h: Harness) -> None:
        """B3: a queue that was never registered takes no jobs."""
        with pytest.raises(UnknownQueueError):
            await h.store.add("never registered", [unit("a")])

    async def test_registering_again_keeps_the_jobs(self, h: Harness) -> None:
        """J3: `register` is idempotent."""
        await h.add("a")
        await h.store.register(h.queue)
        assert await (await h.worker("w", "g")).ids() == ["a"]

    async def test_queues_do_not_mix(self, h: Harness) -> None:
        """J7: ids, groups and jobs belong to their queue alone."""
        other = await h.on("other")
        await h.worker("w", "g")
        worker = await other.worker("w", "g")
        await h.add("a")
        assert await worker.ids() == []
        assert await other.accepts("a")
        assert await worker.ids() == ["a"]

    async def test_duplicate_stores_nothing(self, h: Harness) -> None:
        """J7: while a job of that id lives, nothing is stored and the id is returned."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"1"))
        assert await h.add(NewJob("a", b"2", priority=9)) == [Added("a", False)]
        claims = await worker.claim(10)
        assert [(claim.job_id, claim.data, claim.priority) for claim in claims] == [("a", b"1", 0)]

    async def test_first_of_equal_ids_in_a_unit_counts(self, h: Harness) -> None:
        """J7: of equal ids in one batch the first counts."""
        worker = await h.worker("w", "g")
        answer = await h.add(NewJob("a", b"1"), NewJob("b", b"2"), NewJob("a", b"3"))
        assert answer == [Added("a", True), Added("b", True), Added("a", False)]
        assert [claim.data for claim in await worker.claim(10)] == [b"1", b"2"]

    async def test_later_unit_of_the_same_call_meets_the_earlier(self, h: Harness) -> None:
        """J7: units of one call are added in order."""
        answers = await h.store.add(h.queue, [unit("a"), unit("b", "a")])
        assert answers == [[Added("a", True)], [Added("b", True), Added("a", False)]]

    async def test_id_is_taken_while_the_job_waits_for_its_delay(self, h: Harness) -> None:
        """J7: a delayed job keeps its id, before and at its due time."""
        await h.add("a", delay_ms=10_000)
        assert not await h.accepts("a")
        h.clock.advance(10)
        assert not await h.accepts("a")

    async def test_id_is_taken_while_the_job_is_unclaimed_ready_or_running(self, h: Harness) -> None:
        """J7: a job without a group, a ready and a running one keep their id; a done one frees it."""
        await h.add("a")
        assert not await h.accepts("a")
        worker = await h.worker("w", "g")
        assert not await h.accepts("a")
        claim = await worker.one()
        assert not await h.accepts("a")
        await worker.complete(claim)
        assert await h.accepts("a")

    async def test_id_is_taken_while_a_retry_waits(self, h: Harness) -> None:
        """J7: a delivery that waits for its retry keeps the id."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one()).key, 1000))
        assert not await h.accepts("a")

    async def test_id_is_free_when_the_last_group_is_done(self, h: Harness) -> None:
        """J7: the last delivery of a job frees the id, not the first."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a")
        await worker.complete(await worker.one("g1"), group="g1")
        assert not await h.accepts("a")
        await worker.complete(await worker.one("g2"), group="g2")
        assert await h.accepts("a")

    async def test_readded_job_is_a_new_job(self, h: Harness) -> None:
        """J7: nothing of a finished job clings to its id."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"1", metadata=b"m"))
        claim = await worker.one()
        await worker.settle(RetryLater(claim.key, 0))
        await worker.complete(await worker.one())
        await h.add(NewJob("a", b"2"))
        again = await worker.one()
        assert (again.data, again.attempts, again.stalls, again.metadata) == (b"2", 0, 0, b"")
        assert again.key != claim.key
        assert await worker.settle(Done(claim.key)) == [claim.key]

    async def test_living_job_of_the_same_token_is_created(self, h: Harness) -> None:
        """J10: a call that is repeated after a lost answer reports its own job as created."""
        await h.add(NewJob("a", b"1", token="mine"))
        assert await h.add(NewJob("a", b"1", token="mine")) == [Added("a", True)]
        assert await h.add(NewJob("a", b"1", token="yours")) == [Added("a", False)]
        assert await h.add(NewJob("a", b"1")) == [Added("a", False)]
        assert await (await h.worker("w", "g")).ids() == ["a"]

    async def test_empty_tokens_are_not_the_same(self, h: Harness) -> None:
        """J10: jobs without a token are plain duplicates."""
        await h.add(NewJob("a", b"1", token=""))
        assert await h.add(NewJob("a", b"1", token="")) == [Added("a", False)]

    async def test_token_outlives_delay_and_claim(self, h: Harness) -> None:
        """J10: the token is known as long as the job lives."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"1", delay_ms=1000, token="mine"))
        h.clock.advance(1)
        await worker.one()
        assert await h.add(NewJob("a", b"1", token="mine")) == [Added("a", True)]

    async def test_repeated_add_adds_once(self, h: Harness) -> None:
        """J10: the very same call twice stores its jobs once, and reports them as created twice."""
        jobs = [
            [NewJob("a", b"1", token="t"), NewJob("b", b"2", delay_ms=5, token="t")],
            unit("c", token="u"),
        ]
        first = await h.store.add(h.queue, jobs)
        assert await h.store.add(h.queue, jobs) == first
        h.clock.advance(1)
        assert sorted(await (await h.worker("w", "g")).ids()) == ["a", "b", "c"]

    @limits(max_queue_size=3)
    async def test_full_queue_refuses_the_whole_unit(self, h: Harness) -> None:
        """J8: a unit that does not fit is refused with the limit, and nothing of it is stored."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        assert await h.offer("c", "d") == QueueFull(3)
        assert await h.offer("e") == [Added("e", True)]
        assert await worker.ids() == ["a", "b", "e"]
        assert await h.accepts("c")

    @limits(max_queue_size=3)
    async def test_refused_unit_does_not_touch_others_of_its_call(self, h: Harness) -> None:
        """J8: no other caller's unit is touched by one that does not fit."""
        worker = await h.worker("w", "g")
        answers = await h.store.add(h.queue, [unit("a", "b"), unit("c", "d"), unit("e"), unit("f")])
        assert answers == [
            [Added("a", True), Added("b", True)],
            QueueFull(3),
            [Added("e", True)],
            QueueFull(3),
        ]
        assert await worker.ids() == ["a", "b", "e"]

    @limits(max_queue_size=2)
    async def test_duplicates_are_answered_by_a_full_queue(self, h: Harness) -> None:
        """J8: a duplicate is answered with its id even then, and takes no room."""
        await h.add("a", "b")
        assert await h.offer("a") == [Added("a", False)]
        assert await h.offer("b", "b", "a") == [Added("b", False), Added("b", False), Added("a", False)]
        assert await h.offer("a", "c") == QueueFull(2)

    @limits(max_queue_size=2)
    async def test_duplicates_in_a_unit_take_no_room(self, h: Harness) -> None:
        """J8: only the unit's new jobs count."""
        await h.add("a")
        assert await h.offer("a", "b", "b") == [Added("a", False), Added("b", True), Added("b", False)]

    @limits(max_queue_size=2)
    async def test_delayed_and_unclaimed_jobs_count(self, h: Harness) -> None:
        """J8: start-delayed and unclaimed jobs take room."""
        await h.add("a", delay_ms=60_000)
        await h.add("b")
        assert await h.offer("c") == QueueFull(2)
        assert await h.offer("c", delay_ms=1) == QueueFull(2)

    @limits(max_queue_size=2)
    async def test_running_deliveries_and_retries_take_no_room(self, h: Harness) -> None:
        """J8: only ready deliveries count, running ones and waiting retries don't."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        running, failing = await worker.claim(2)
        await worker.settle(RetryLater(failing.key, 60_000))
        assert [added.created for added in await h.add("c", "d")] == [True, True]
        assert await h.offer("e") == QueueFull(2)
        await worker.complete(running)
        assert await h.offer("e") == QueueFull(2)

    @limits(max_queue_size=2)
    async def test_retries_never_fail_by_a_full_queue(self, h: Harness) -> None:
        """J8: a retry becomes ready in a full queue, and then takes room."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one()).key, 1000))
        await h.add("b", "c")
        h.clock.advance(1)
        await worker.tick()
        assert await h.offer("d") == QueueFull(2)
        assert await h.offer("c", "a", "b") == [Added("c", False), Added("a", False), Added("b", False)]
        assert await worker.ids(1) == ["b"]
        assert await h.offer("d") == QueueFull(2)
        assert await worker.ids() == ["c", "a"]

    @limits(max_queue_size=3)
    async def test_fullest_group_counts(self, h: Harness) -> None:
        """J8: of several groups the one with the most ready deliveries counts, not their sum."""
        worker = await h.worker("w", "fast", "slow")
        for name in ("a", "b", "c"):
            await h.add(name)
        assert await h.offer("d") == QueueFull(3)
        await worker.drain("fast")
        assert await h.offer("d") == QueueFull(3)
        await worker.claim(1, "slow")
        assert await h.offer("d") == [Added("d", True)]

    @limits(max_queue_size=2)
    async def test_room_comes_back(self, h: Harness) -> None:
        """J8: what is claimed makes room at once."""
        worker = await h.worker("w", "g")
        for batch in range(20):
            assert [a.created for a in await h.add(f"a{batch}", f"b{batch}")] == [True, True]
            assert await h.offer("more") == QueueFull(2)
            assert await worker.drain() == [f"a{batch}", f"b{batch}"]

    @limits(max_queue_size=2)
    async def test_last_group_that_goes_takes_its_room_along(self, h: Harness) -> None:
        """J8: deliveries of a group that is gone take no room."""
        worker = await h.worker("w", GroupJoin("g", ephemeral=True))
        await h.add("a", "b")
        await worker.leave()
        assert [added.created for added in await h.add("c", "d")] == [True, True]

    async def test_no_limit_where_none_is_set(self, h: Harness) -> None:
        """J8: without a limit a large unit is taken whole."""
        worker = await h.worker("w", "g")
        names = [f"job {number:04}" for number in range(2500)]
        assert all(added.created for added in await h.add(*names))
        assert await worker.drain() == names

    async def test_units_become_ready_in_the_order_given(self, h: Harness) -> None:
        """J5: undelayed jobs are ready in the order of units and of jobs within them."""
        worker = await h.worker("w", "g")
        await h.store.add(h.queue, [unit("z", "y"), unit("x"), unit("b", "a")])
        assert await worker.ids() == ["z", "y", "x", "b", "a"]

    async def test_delayed_job_never_starts_early(self, h: Harness) -> None:
        """J6: not one millisecond before its time, and at its time."""
        worker = await h.worker("w", "g")
        await h.add("a", delay_ms=5000)
        h.clock.advance(4.999)
        await worker.tick()
        assert await worker.ids() == []
        h.clock.advance(0.001)
        assert await worker.ids() == ["a"]

    async def test_claim_tells_when_the_job_was_enqueued(self, h: Harness) -> None:
        """J6: `enqueued_at` is the engine's time at the `add`, delay or not."""
        worker = await h.worker("w", "g")
        enqueued = h.now
        await h.add("a")
        await h.add("b", delay_ms=5000)
        h.clock.advance(7)
        claims = await worker.claim(2)
        assert ids(claims) == ["a", "b"]
        assert [claim.enqueued_at for claim in claims] == [enqueued, enqueued]

    async def test_next_due_time_is_told(self, h: Harness) -> None:
        """J6: exchange and tick say when something is due next, so that a sleeper wakes for it."""
        worker = await h.worker("w", "g")
        await h.add("a", delay_ms=9000)
        await h.add("b", delay_ms=4000)
        due = h.now + 4000
        exchange = await worker.exchange(want=1)
        tick = await worker.tick()
        assert exchange.next_at is not None
        assert tick.next_at is not None
        assert h.now < exchange.next_at <= due
        assert h.now < tick.next_at <= due

    @needs("job")
    async def test_delayed_job_can_be_looked_at(self, h: Harness) -> None:
        """J6: a delayed job is listed with its due time, in no group."""
        await h.worker("w", "g")
        await h.add(NewJob("a", b"1", 7, b"{}", delay_ms=5000, expires_ms=9000))
        record = await h.store.job(h.queue, "a")
        assert record is not None
        assert (record.state, record.due_at, dict(record.groups)) == ("delayed", h.now + 5000, {})
        assert (record.data, record.priority, record.metadata) == (b"1", 7, b"{}")
        assert (record.enqueued_at, record.expires_at) == (h.now, h.now + 9000)
