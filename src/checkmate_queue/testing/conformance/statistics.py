"""The numbers, and the lists that people look at."""

from __future__ import annotations

import random
from collections import Counter

from checkmate_queue.core.model import (
    Claim,
    Done,
    Fail,
    Failure,
    GiveBack,
    GroupStats,
    NewJob,
    QueueStats,
    RetryLater,
    Settlement,
    occurrence_id,
)
from checkmate_queue.testing.conformance.audit import all_jobs
from checkmate_queue.testing.conformance.groups import ephemeral
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.schedules import fire, put
from checkmate_queue.testing.conformance.selection import Theme, all_need, needs


@all_need("stats")
class Statistics(Theme):
    """`stats`."""

    async def test_empty_and_unknown_queues(self, h: Harness) -> None:
        """L3: where nothing is, every number is 0, also for a queue that is not known."""
        assert await h.store.stats(h.queue) == QueueStats()
        assert await h.store.stats("never registered") == QueueStats()

    async def test_each_state_is_counted_where_it_belongs(self, h: Harness) -> None:
        """L3: start-delayed jobs once and in no group, retries in their group and the queue."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a", "b", "c")
        await h.add("d", "e", delay_ms=60_000)
        first, second = await worker.claim(2, "g1")
        await worker.settle(RetryLater(first.key, 60_000), group="g1")
        stats = await h.store.stats(h.queue)
        assert (stats.pending, stats.delayed, stats.processing, stats.unclaimed) == (4, 3, 1, 0)
        assert stats.groups["g1"] == GroupStats(
            pending=1, delayed=1, processing=1, oldest_pending_seconds=0.0
        )
        assert stats.groups["g2"] == GroupStats(pending=3, oldest_pending_seconds=0.0)
        assert stats.consumer_groups == 2
        await worker.complete(second, group="g1")
        assert (await h.store.stats(h.queue)).groups["g1"].completed == 1

    async def test_ends_are_counted_per_group(self, h: Harness) -> None:
        """L3: completed, failed and expired are lifetime counts of deliveries."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a", "b", "c")
        await h.add("d", expires_ms=1000)
        a, b = await worker.claim(2, "g1")
        await worker.settle(Done(a.key), Fail(b.key, Failure("E", "m")), group="g1")
        await worker.complete(*await worker.claim(3, "g2"), group="g2")
        h.clock.advance(1.001)
        await worker.sweep()
        stats = await h.store.stats(h.queue)
        assert (stats.completed, stats.failed, stats.expired, stats.cancelled) == (4, 1, 2, 0)
        ends = {name: (g.completed, g.failed, g.expired) for name, g in stats.groups.items()}
        assert ends == {"g1": (1, 1, 1), "g2": (3, 0, 1)}

    async def test_reading_promotes_nothing(self, h: Harness) -> None:
        """L3: what is due but was not made ready is still `delayed`."""
        worker = await h.worker("w", "g")
        await h.add("a", delay_ms=1000)
        h.clock.advance(2)
        stats = await h.store.stats(h.queue)
        assert (stats.delayed, stats.pending) == (1, 0)
        tick = await worker.tick()
        assert (tick.readied, tick.pending) == (1, 1)
        stats = await h.store.stats(h.queue)
        assert (stats.delayed, stats.pending) == (0, 1)

    async def test_totals_survive_their_group(self, h: Harness) -> None:
        """L3: lifetime counts never decrease, whatever groups come and go."""
        for number in range(3):
            worker = await h.worker(f"w{number}", ephemeral("e"))
            await h.add("a", "b", "c")
            a, b = await worker.claim(2)
            await worker.settle(Done(a.key), Fail(b.key, Failure("E", "m")))
            await worker.leave()
            stats = await h.store.stats(h.queue)
            ends = (stats.completed, stats.failed, stats.expired, stats.consumer_groups)
            assert ends == (number + 1, number + 1, number + 1, 0)

    @needs("cancel")
    async def test_jobs_without_a_group_count_once(self, h: Harness) -> None:
        """L3: a delayed or unclaimed job that ends counts once, in the queue's own numbers."""
        await h.add("dropped", unclaimed="drop")
        await h.add("unclaimed")
        await h.worker("w1", ephemeral("e1"), ephemeral("e2"))
        await h.add("delayed", delay_ms=1000)
        await h.store.cancel(h.queue, "delayed")
        await h.store.cancel(h.queue, "unclaimed")
        stats = await h.store.stats(h.queue)
        assert (stats.expired, stats.cancelled) == (1, 2)
        assert [group.cancelled for group in stats.groups.values()] == [0, 0]

    async def test_oldest_pending_is_the_age_since_ready(self, h: Harness) -> None:
        """L3: of each group and of the queue, at any priority; None where nothing is ready."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("old low", priority=-5)
        await h.add("delayed", delay_ms=3000)
        h.clock.advance(4)
        await worker.tick()
        h.clock.advance(1)
        await h.add("new high", priority=5)
        h.clock.advance(2)
        stats = await h.store.stats(h.queue)
        assert stats.oldest_pending_seconds == 7.0
        assert await worker.ids(2, "g1") == ["new high", "delayed"]
        assert (await h.store.stats(h.queue)).groups["g1"].oldest_pending_seconds == 7.0
        await worker.drain("g1")
        await h.add("newest")
        stats = await h.store.stats(h.queue)
        assert stats.groups["g1"].oldest_pending_seconds == 0.0
        assert stats.oldest_pending_seconds == 7.0
        await worker.drain("g2")
        await worker.drain("g1")
        stats = await h.store.stats(h.queue)
        assert stats.oldest_pending_seconds is None
        assert stats.groups["g1"].oldest_pending_seconds is None

    async def test_given_back_keeps_its_age_and_a_retry_does_not(self, h: Harness) -> None:
        """L3: age counts from when a delivery first was ready; a retry's from when it was ready again."""
        worker = await h.worker("w", "g")
        await h.add("a")
        h.clock.advance(3)
        claim = await worker.one()
        h.clock.advance(3)
        await worker.settle(GiveBack(claim.key))
        assert (await h.store.stats(h.queue)).oldest_pending_seconds == 6.0
        claim = await worker.one()
        await worker.settle(RetryLater(claim.key, 2000))
        h.clock.advance(2)
        await worker.tick()
        h.clock.advance(1)
        age = (await h.store.stats(h.queue)).oldest_pending_seconds
        assert age == 1.0

    async def test_every_process_sees_the_same(self, h: Harness) -> None:
        """L3: the numbers come from the backend."""
        second = await h.second_store()
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c")
        await worker.complete(await worker.one())
        assert await second.stats(h.queue) == await h.store.stats(h.queue)
        assert (await second.stats(h.queue)).completed == 1

    async def test_tick_tells_what_is_ready(self, h: Harness) -> None:
        """L4: `pending` of a tick is the queue's number of ready deliveries."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a", "b", "c")
        await worker.claim(1, "g1")
        assert (await worker.tick()).pending == (await h.store.stats(h.queue)).pending == 5

    async def test_exact_after_random_traffic(self, h: Harness) -> None:
        """L3: after 1,500 random settlements in two groups the numbers are those of a tally."""
        dice = random.Random(3)
        worker = await h.worker("w", "g1", "g2")
        tally: Counter[str] = Counter()
        for step in range(60):
            await h.add(*(f"{step}.{n}" for n in range(12)), priority=dice.randint(0, 3))
            h.clock.advance(dice.choice((0, 0.4, 3)))
            for group in ("g1", "g2"):
                claims = await worker.claim(dice.randint(0, 25), group)
                tally[group] += len(claims)
                settlements = [self.random_settlement(dice, claim, tally) for claim in claims]
                assert await worker.settle(*(s for s in settlements if s), group=group) == []
        stats = await h.store.stats(h.queue)
        assert (stats.completed, stats.failed) == (tally["Done"], tally["Fail"])
        assert stats.processing == tally["held"]
        open_deliveries = 2 * 60 * 12 - tally["Done"] - tally["Fail"]
        assert stats.pending + stats.delayed + stats.processing == open_deliveries

    def random_settlement(self, dice: random.Random, claim: Claim, tally: Counter[str]) -> Settlement | None:
        """One of all kinds; None leaves the claim running."""
        choices: tuple[Settlement | None, ...] = (
            *(Done(claim.key), Done(claim.key), Fail(claim.key, Failure("E", "m"))),
            *(RetryLater(claim.key, dice.choice((0, 500, 5000))), GiveBack(claim.key), None),
        )
        choice = dice.choice(choices)
        tally["held" if choice is None else type(choice).__name__] += 1
        return choice


@all_need("jobs", "job", "queues")
class Inspecting(Theme):
    """`queues`, `job` and `jobs`."""

    async def test_queues_are_sorted(self, h: Harness) -> None:
        """L3: every registered queue is listed once, by name."""
        for name in ("b", "a", "é", "b"):
            await h.store.register(name)
        assert await h.store.queues() == ["a", "b", h.queue, "é"]

    @needs("groups", "workers", "failed", "paused")
    async def test_unknown_queue_reads_as_empty(self, h: Harness) -> None:
        """L3: looking at what does not exist is no error."""
        assert await h.store.groups("unknown") == []
        assert await h.store.workers("unknown") == []
        assert await h.store.failed("unknown") == []
        assert not await h.store.paused("unknown")
        assert await h.store.jobs("unknown") == []
        assert await h.store.job("unknown", "a") is None
        assert await h.store.job(h.queue, "a") is None
        assert "unknown" not in await h.store.queues()

    async def test_states_of_a_job(self, h: Harness) -> None:
        """L3: a job shows its state in each group that has not finished it."""
        await h.add("unclaimed")
        record = await h.store.job(h.queue, "unclaimed")
        assert record is not None
        assert (record.state, dict(record.groups), record.due_at) == ("unclaimed", {}, None)
        passing = await h.worker("w0", ephemeral("e"))
        await passing.leave()
        worker = await h.worker("w", *(f"g{number}" for number in range(4)))
        await worker.drain("g0")
        await worker.one("g1")
        await worker.settle(RetryLater((await worker.one("g2")).key, 60_000), group="g2")
        record = await h.store.job(h.queue, "unclaimed")
        assert record is not None
        assert dict(record.groups) == {"g1": "processing", "g2": "retrying", "g3": "pending"}

    async def test_jobs_by_page(self, h: Harness) -> None:
        """L3: pages in the order of keys, which is that of enqueuing, show each job once."""
        await h.worker("w", "g")
        names = [f"job {number * 37 % 101}" for number in range(101)]
        await h.add(*names[:50])
        await h.add(*names[50:], delay_ms=1000)
        found = []
        after = 0
        while page := await h.store.jobs(h.queue, after=after, limit=10):
            assert len(page) <= 10
            found += [record.id for record in page]
            after = page[-1].key
        assert found == names
        assert [record.id for record in await all_jobs(h.store, h.queue)] == names

    async def test_jobs_by_state(self, h: Harness) -> None:
        """L3: a job is listed under every state that it has in some group, and keeps paging."""
        await h.worker("w0", ephemeral("e"))
        worker = await h.worker("w", "g1", "g2")
        await h.add("delayed", delay_ms=60_000)
        await h.add("both", "ready", "more")
        await worker.one("g1")
        listed = {}
        for state in ("delayed", "unclaimed", "pending", "processing", "retrying"):
            listed[state] = [record.id for record in await h.store.jobs(h.queue, state=state)]
        assert listed == {
            "delayed": ["delayed"],
            "unclaimed": [],
            "pending": ["both", "ready", "more"],
            "processing": ["both"],
            "retrying": [],
        }
        (first,) = await h.store.jobs(h.queue, state="pending", limit=1)
        rest = await h.store.jobs(h.queue, state="pending", after=first.key, limit=1)
        assert [record.id for record in rest] == ["ready"]

    async def test_record_of_a_job(self, h: Harness) -> None:
        """L3: a listed job carries what it was enqueued with."""
        await h.worker("w", "g")
        await h.add(NewJob("a", b"\x00\xff", -3, b"{}", expires_ms=5000))
        (record,) = await h.store.jobs(h.queue)
        assert record == await h.store.job(h.queue, "a")
        assert (record.id, record.data, record.priority, record.metadata) == ("a", b"\x00\xff", -3, b"{}")
        assert (record.enqueued_at, record.expires_at, record.due_at) == (h.now, h.now + 5000, None)

    async def test_finished_job_is_not_shown(self, h: Harness) -> None:
        """J7: a job whose last delivery has ended is gone."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fire(h, await put(h))
        name = occurrence_id("s", h.now)
        occurrence = await h.store.job(h.queue, name)
        assert occurrence is not None
        assert occurrence.groups == {"g": "pending"}
        await worker.drain()
        assert await h.store.job(h.queue, "a") is None
        assert await h.store.job(h.queue, name) is None
        assert await h.store.jobs(h.queue) == []
