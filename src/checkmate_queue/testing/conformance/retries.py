"""Failed attempts, and deliveries that have used their tries."""

from __future__ import annotations

import pytest

from checkmate_queue.core.errors import InvalidArgumentError, JobExistsError
from checkmate_queue.core.model import Fail, FailedRecord, Failure, NewJob, RetryLater, occurrence_id
from checkmate_queue.testing.conformance.groups import ephemeral
from checkmate_queue.testing.conformance.harness import Harness, Worker, unit
from checkmate_queue.testing.conformance.schedules import fire, put
from checkmate_queue.testing.conformance.selection import Theme, all_need, limits, needs

BOOM = Failure("ValueError", "boom", "Traceback …\n  line 1")


async def fail(worker: Worker, *jobs: str, group: str | None = None, failure: Failure = BOOM) -> None:
    """Claim these jobs, which must be the next ones, and fail them."""
    claims = await worker.claim(len(jobs), group)
    assert [claim.job_id for claim in claims] == list(jobs)
    assert await worker.settle(*(Fail(claim.key, failure) for claim in claims), group=group) == []


def names(entries: list[FailedRecord]) -> list[str]:
    """The job ids of failed entries."""
    return [entry.job_id for entry in entries]


class Retries(Theme):
    """`RetryLater` and `Fail` as a queue without inspection shows them."""

    async def test_retry_counts_an_attempt(self, h: Harness) -> None:
        """F1: each retry comes with one attempt more, and as the same job."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"1", 3, b"m"))
        first = await worker.one()
        for attempts in range(1, 6):
            await worker.settle(RetryLater(first.key, 1000))
            h.clock.advance(1)
            assert await worker.one() == first._replace(attempts=attempts)

    async def test_retry_is_not_early(self, h: Harness) -> None:
        """F5: not one millisecond before its time, whatever else goes on."""
        worker, other = await h.worker("w", "g"), await h.worker("other", "g")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one()).key, 8000))
        for number in range(7):
            h.clock.advance(1)
            await h.add(f"job {number}")
            await other.tick()
            assert await other.drain() == [f"job {number}"]
        h.clock.advance(0.999)
        assert await other.ids() == []
        h.clock.advance(0.001)
        assert await other.ids() == ["a"]

    async def test_waiting_retry_blocks_nothing(self, h: Harness) -> None:
        """F5: other jobs go on, also those of a lower priority."""
        worker = await h.worker("w", "g")
        await h.add("high", priority=9)
        await worker.settle(RetryLater((await worker.one()).key, 60_000))
        await h.add("b", "c")
        assert await worker.ids() == ["b", "c"]

    async def test_retries_become_ready_in_due_order(self, h: Harness) -> None:
        """J5: retries start in the order of their due times, equal ones in enqueue order."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c", "d")
        a, b, c, d = await worker.claim(4)
        await worker.settle(RetryLater(d.key, 2000), RetryLater(a.key, 3000))
        await worker.settle(RetryLater(c.key, 1000), RetryLater(b.key, 2000))
        h.clock.advance(4)
        assert await worker.ids() == ["c", "b", "d", "a"]

    async def test_due_retry_keeps_its_priority(self, h: Harness) -> None:
        """J5: a due retry starts by its priority, and behind what was ready before it."""
        worker = await h.worker("w", "g")
        await h.add("high", priority=5)
        await h.add("low")
        claims = await worker.claim(2)
        await worker.settle(*(RetryLater(claim.key, 1000) for claim in claims))
        await h.add("waiting")
        h.clock.advance(1)
        assert await worker.ids() == ["high", "waiting", "low"]

    async def test_many_retries(self, h: Harness) -> None:
        """F5: 1,500 retries that are due at once all come, once, with their attempt."""
        worker = await h.worker("w", "g")
        jobs = [f"job {number}" for number in range(1500)]
        await h.add(*jobs)
        await worker.settle(*(RetryLater(claim.key, 1000) for claim in await worker.claim(1500)))
        h.clock.advance(1)
        claims = await worker.claim(2000)
        assert [(claim.job_id, claim.attempts) for claim in claims] == [(job, 1) for job in jobs]

    async def test_failed_delivery_is_over(self, h: Harness) -> None:
        """F4: a delivery that failed does not come again, and its id is free."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fail(worker, "a")
        h.clock.advance(100_000)
        assert await worker.ids() == []
        assert await h.accepts("a")
        assert (await worker.one()).attempts == 0

    async def test_failure_leaves_other_groups_their_delivery(self, h: Harness) -> None:
        """F1: only the group that failed is done; the id is free after the last."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a")
        await fail(worker, "a", group="g1")
        assert not await h.accepts("a")
        assert await worker.drain("g2") == ["a"]
        assert await h.accepts("a")


@all_need("failed", "retry_failed", "discard_failed")
class FailedEntries(Theme):
    """What is kept of failed deliveries."""

    async def test_entry_tells_what_happened(self, h: Harness) -> None:
        """F4: error, attempts, time, group and data are kept."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"\x00data"))
        await worker.settle(RetryLater((await worker.one()).key, 0))
        h.clock.advance(5)
        failure = Failure("Ünique", "line 1\nline 'two' 🦆", "x" * 100_000)
        await fail(worker, "a", failure=failure)
        (entry,) = await h.store.failed(h.queue)
        assert entry == FailedRecord(entry.entry_id, "a", "g", b"\x00data", failure, 2, h.now)

    async def test_failure_without_an_attempt(self, h: Harness) -> None:
        """F4: a failure that was no attempt counts none."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await worker.settle(Fail((await worker.one()).key, BOOM, attempt=False))
        assert [entry.attempts for entry in await h.store.failed(h.queue)] == [0]

    async def test_newest_first_and_by_page(self, h: Harness) -> None:
        """F4: entries are listed newest first, page by page, each once."""
        worker = await h.worker("w", "g")
        for number in range(25):
            await h.add(f"job {number}")
            await fail(worker, f"job {number}")
            h.clock.advance(number % 2)
        found: list[FailedRecord] = []
        while page := await h.store.failed(h.queue, after=found[-1].entry_id if found else "", limit=4):
            assert len(page) <= 4
            found += page
        assert names(found) == [f"job {number}" for number in reversed(range(25))]
        assert len({entry.entry_id for entry in found}) == 25

    async def test_a_page_after_what_is_no_entry_is_refused(self, h: Harness) -> None:
        """F4: a mistyped `entry_id` never looks like the end of the list, or like its beginning."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fail(worker, "a")
        for after in ("nonsense", "-1", "1e3", "٣", "9" * 30):
            with pytest.raises(InvalidArgumentError, match="after must be the entry_id"):
                await h.store.failed(h.queue, after=after)

    async def test_entries_of_one_group(self, h: Harness) -> None:
        """F4: each group keeps its own entries."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a", "b")
        await fail(worker, "a", group="g1")
        await fail(worker, "a", "b", group="g2")
        assert names(await h.store.failed(h.queue, group="g1")) == ["a"]
        assert sorted(names(await h.store.failed(h.queue, group="g2"))) == ["a", "b"]
        assert await h.store.failed(h.queue, group="g3") == []

    async def test_retry_makes_it_ready_again(self, h: Harness) -> None:
        """F4: with its priority, data and metadata, and attempts and stalls at 0."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"1", 6, b"m"))
        await worker.settle(RetryLater((await worker.one()).key, 0))
        await fail(worker, "a")
        await h.add("other")
        assert await h.store.retry_failed(h.queue, "a") == 1
        assert await h.store.failed(h.queue) == []
        claim = await worker.one()
        assert (claim.job_id, claim.data, claim.priority, claim.metadata) == ("a", b"1", 6, b"m")
        assert (claim.attempts, claim.stalls) == (0, 0)
        assert not await h.accepts("a")

    async def test_retry_in_the_groups_that_failed_alone(self, h: Harness) -> None:
        """F4: groups that were done, and groups that came later, get nothing."""
        worker = await h.worker("w", "bad 1", "bad 2", "good")
        await h.add("a")
        await fail(worker, "a", group="bad 1")
        await fail(worker, "a", group="bad 2")
        await worker.drain("good")
        later = await h.worker("later", "later")
        assert await h.store.retry_failed(h.queue, "a") == 2
        assert await worker.drain("bad 1") == ["a"]
        assert not await h.accepts("a")
        assert await worker.drain("bad 2") == ["a"]
        assert await h.accepts("a")
        assert await later.drain() == ["a"]
        assert await worker.drain("good") == ["a"]

    async def test_retry_in_one_group(self, h: Harness) -> None:
        """F4: with a group named, the entries of others stay."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a")
        await fail(worker, "a", group="g1")
        await fail(worker, "a", group="g2")
        assert await h.store.retry_failed(h.queue, "a", "g2") == 1
        assert await worker.ids(group="g1") == []
        assert await worker.ids(group="g2") == ["a"]
        assert [entry.group for entry in await h.store.failed(h.queue)] == ["g1"]

    async def test_retry_of_the_newest_job_of_that_id(self, h: Harness) -> None:
        """F4: of several jobs that failed under one id, the newest comes back; older entries stay."""
        worker = await h.worker("w", "g1", "g2")
        for data in (b"old", b"new"):
            await h.add(NewJob("a", data))
            await fail(worker, "a", group="g1")
            if data == b"old":
                await fail(worker, "a", group="g2")
            else:
                await worker.drain("g2")
        assert await h.store.retry_failed(h.queue, "a") == 1
        assert [claim.data for claim in await worker.claim(9, "g1")] == [b"new"]
        assert await worker.ids(group="g2") == []
        assert [entry.data for entry in await h.store.failed(h.queue)] == [b"old", b"old"]

    async def test_retry_of_what_is_unknown(self, h: Harness) -> None:
        """F4: nothing to retry is 0, no error."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fail(worker, "a")
        assert await h.store.retry_failed(h.queue, "b") == 0
        assert await h.store.retry_failed(h.queue, "a", "nowhere") == 0
        assert names(await h.store.failed(h.queue)) == ["a"]

    async def test_living_job_is_not_doubled(self, h: Harness) -> None:
        """F4: where a job of that id lives, nothing changes."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"old"))
        await fail(worker, "a")
        await h.add(NewJob("a", b"new", delay_ms=1000))
        with pytest.raises(JobExistsError):
            await h.store.retry_failed(h.queue, "a")
        assert names(await h.store.failed(h.queue)) == ["a"]
        h.clock.advance(1)
        assert [claim.data for claim in await worker.claim(9)] == [b"new"]

    async def test_entries_of_a_group_that_is_gone_stay(self, h: Harness) -> None:
        """F4: what failed in a group that no longer exists can't be retried, but is still shown."""
        worker = await h.worker("w", ephemeral("e"), "g")
        await h.add("a")
        await fail(worker, "a", group="e")
        await fail(worker, "a", group="g")
        await worker.leave("e")
        assert await h.store.retry_failed(h.queue, "a") == 1
        assert await worker.drain("g") == ["a"]
        assert [entry.group for entry in await h.store.failed(h.queue)] == ["e"]
        assert await h.store.retry_failed(h.queue, "a") == 0

    async def test_retried_job_can_fail_again(self, h: Harness) -> None:
        """F4: a retried delivery that fails leaves an entry of its own."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fail(worker, "a")
        (first,) = await h.store.failed(h.queue)
        await h.store.retry_failed(h.queue, "a")
        await fail(worker, "a")
        (second,) = await h.store.failed(h.queue)
        assert second.entry_id != first.entry_id
        assert second.attempts == 1

    @limits(max_queue_size=1)
    async def test_retry_ignores_a_full_queue(self, h: Harness) -> None:
        """J8: what is retried never fails by the limit."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fail(worker, "a")
        await h.add("b")
        assert await h.store.retry_failed(h.queue, "a") == 1
        assert sorted(await worker.ids()) == ["a", "b"]

    async def test_retry_of_an_occurrence(self, h: Harness) -> None:
        """F4: a schedule's job can be retried too, and takes no id from users."""
        worker = await h.worker("w", "g")
        await fire(h, await put(h))
        name = occurrence_id("s", h.now)
        await fail(worker, name)
        assert await h.store.retry_failed(h.queue, name) == 1
        assert await h.accepts(name)
        assert [claim.data for claim in await worker.claim(1)] == [b"data"]

    async def test_discard(self, h: Harness) -> None:
        """F4: entries are removed by id, by group, or all, and their number is told."""
        worker = await h.worker("w", "g1", "g2")
        await h.add("a", "b", "c")
        await fail(worker, "a", "b", "c", group="g1")
        await fail(worker, "a", "b", "c", group="g2")
        assert await h.store.discard_failed(h.queue, "a", "g1") == 1
        assert await h.store.discard_failed(h.queue, "a", "g1") == 0
        assert await h.store.discard_failed(h.queue, "b") == 2
        assert await h.store.discard_failed(h.queue, group="g2") == 2
        assert [(entry.job_id, entry.group) for entry in await h.store.failed(h.queue)] == [("c", "g1")]
        assert await h.store.discard_failed(h.queue) == 1
        assert await h.store.retry_failed(h.queue, "c") == 0

    @limits(failed_retention_count=5)
    async def test_only_the_newest_are_kept(self, h: Harness) -> None:
        """F4: at most `failed_retention_count` entries are kept per queue, the newest."""
        worker = await h.worker("w", "g1", "g2")
        for number in range(6):
            await h.add(f"job {number}")
            await fail(worker, f"job {number}", group="g1")
            await fail(worker, f"job {number}", group="g2")
        await worker.sweep()
        kept = [(entry.job_id, entry.group) for entry in await h.store.failed(h.queue)]
        assert kept == [(f"job {n}", g) for n, g in ((5, "g2"), (5, "g1"), (4, "g2"), (4, "g1"), (3, "g2"))]

    @limits(failed_retention_count=100)
    async def test_many_entries_beyond_the_count(self, h: Harness) -> None:
        """F4: a wave of 2,500 failures leaves the newest 100 after the next ticks."""
        worker = await h.worker("w", "g")
        await h.store.add(h.queue, [unit(f"job {number}") for number in range(2500)])
        claims = await worker.claim(2500)
        await worker.settle(*(Fail(claim.key, BOOM) for claim in claims))
        await worker.sweep()
        kept = await h.store.failed(h.queue, limit=1000)
        assert names(kept) == [f"job {number}" for number in range(2499, 2399, -1)]

    @limits(failed_retention_ms=60_000)
    async def test_old_entries_go(self, h: Harness) -> None:
        """F4: after `failed_retention` an entry is removed."""
        worker = await h.worker("w", "g")
        await h.add("old", "new")
        await fail(worker, "old")
        h.clock.advance(40)
        await fail(worker, "new")
        h.clock.advance(19.9)
        await worker.sweep()
        assert names(await h.store.failed(h.queue)) == ["new", "old"]
        h.clock.advance(0.2)
        await worker.sweep()
        assert names(await h.store.failed(h.queue)) == ["new"]

    @needs("stats")
    async def test_lifetime_count_ignores_what_becomes_of_entries(self, h: Harness) -> None:
        """L3: `failed` counts failures for ever: neither retrying nor discarding lowers it."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await fail(worker, "a")
        await h.store.retry_failed(h.queue, "a")
        await fail(worker, "a")
        await h.store.discard_failed(h.queue)
        stats = await h.store.stats(h.queue)
        assert (stats.failed, stats.groups["g"].failed, stats.pending, stats.delayed) == (2, 2, 0, 0)
