"""Moving everything from one store to another: here out of a storage, and into it again."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from checkmate_queue.core.model import (
    Done,
    Fail,
    Failure,
    GiveBack,
    GroupJoin,
    NewJob,
    RetryLater,
)
from checkmate_queue.core.moving import (
    Moved,
    MovedClaim,
    MovedEpoch,
    MovedGroup,
    MovedJob,
    MovedQueue,
    MovedSchedule,
)
from checkmate_queue.moving import MovableStore
from checkmate_queue.testing.conformance.audit import all_jobs
from checkmate_queue.testing.conformance.harness import Harness, Worker
from checkmate_queue.testing.conformance.schedules import MINUTE, fire, put
from checkmate_queue.testing.conformance.selection import MOVING_VERBS, Theme, all_need, limits, needs

LAST = Failure("ValueError", "no good", "trace")


def movable(h: Harness) -> MovableStore:
    """The store, which has the verbs of a move."""
    return cast("MovableStore", h.store)


async def export(h: Harness, batch: int = 3) -> list[Moved]:
    """All records of the queue, which is fenced for that."""
    await h.store.fence(None, "there")
    await h.store.fence(h.queue, "there")
    records: list[Moved] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await movable(h).export(h.queue, cursor, batch)
        assert len(answer.records) <= batch
        assert await movable(h).export(h.queue, cursor, batch) == answer
        records += answer.records
        cursor = answer.cursor
    return records


def normal(records: list[Moved]) -> list[Moved]:
    """The records with keys that count from 1, as far as records have them, and without the last numbers."""
    keys = {getattr(record, "key", 0) for record in records}
    ranks = {key: rank for rank, key in enumerate(sorted(keys))}
    return [
        record._replace(last_key=0, last_claim=0, last_revision=0)
        if isinstance(record, MovedQueue)
        else record
        if isinstance(record, MovedGroup | MovedEpoch | MovedSchedule)
        else record._replace(key=ranks[record.key])
        for record in records
    ]


async def take_in(h: Harness, records: list[Moved], token: str = "t", batch: int = 3) -> None:
    """Store the records of a queue in an empty store that then accepts."""
    store = movable(h)
    assert await store.receive(token, "back")
    for n, first in enumerate(range(0, len(records), batch), 1):
        for _ in range(2):  # The first answer may have been lost.
            await store.restore(token, h.queue, n, records[first : first + batch])
    await store.admit(token)


async def move(h: Harness) -> list[Moved]:
    """Move everything out and in again; returns what was moved."""
    records = await export(h)
    await movable(h).clear("there")
    await take_in(h, records)
    return records


async def moved(worker: Worker) -> Worker:
    """The worker, as it goes on after a move: its exchanges count on."""
    again = await worker.rejoin()
    again.counts.update(worker.counts)
    return again


@all_need(*MOVING_VERBS)
class Moves(Theme):
    """`export` and `restore`: everything is as it was."""

    async def test_order_is_kept(self, h: Harness) -> None:
        """B2: within each group, priorities and what came back to the front included."""
        worker = await h.worker("w", "g", "other")
        await h.add("back 2", "back 1", "retried")
        await h.add("c", "a", "b", priority=5)
        claims = await worker.claim(6, "g")
        by_id = {claim.job_id: claim.key for claim in claims}
        await worker.settle(RetryLater(by_id["retried"], 1000), group="g")
        await worker.settle(
            *(GiveBack(by_id[name]) for name in ("back 1", "back 2", "b", "c", "a")), group="g"
        )
        await h.add("last")
        await h.add("first", priority=9)
        await h.travel(2, worker)
        await h.add("very last")
        await move(h)
        worker = await moved(worker)
        order = ["first", "c", "a", "b", "back 2", "back 1"]
        # Promotion draws the place of a retry, so it comes after what was ready by then.
        assert await worker.drain("g") == [*order, "last", "very last", "retried"]
        assert await worker.drain("other") == [
            "first", "c", "a", "b", "back 2", "back 1", "retried", "last", "very last",
        ]  # fmt: skip

    @needs("jobs", "stats")
    async def test_jobs_are_kept(self, h: Harness) -> None:
        """B2: with data, metadata, priority, times and states."""
        worker = await h.worker("w", "g")
        await h.add("r")
        await worker.settle(RetryLater((await worker.one()).key, 60_000))
        await h.add(NewJob("x", b"\x00\xff", 7, b'{"a":"b"}', 0, 90_000), NewJob("d", b"1", 1, b"", 5000))
        await h.add("running", priority=9)
        await worker.one()
        before, stats = await all_jobs(h.store, h.queue), await h.store.stats(h.queue)
        await move(h)
        after = await all_jobs(h.store, h.queue)
        assert [replace(job, key=0) for job in after] == [replace(job, key=0) for job in before]
        assert await h.store.stats(h.queue) == stats

    @needs("set_paused")
    async def test_moving_again_moves_the_same(self, h: Harness) -> None:
        """B2: what came from a move goes on in the next one."""
        worker = await h.worker("w", "g", GroupJoin("e", ephemeral=True, max_stalls=7))
        await h.add("a", "b", "c", "d", "e")
        await h.add("late", delay_ms=60_000, expires_ms=70_000, token="x", metadata=b"{}")
        claims = await worker.claim(4, "g")
        await worker.settle(
            RetryLater(claims[0].key, 5000), Fail(claims[1].key, LAST), GiveBack(claims[2].key), group="g"
        )
        await worker.claim(1, "e")
        await fire(h, await put(h))
        await h.store.set_paused(h.queue, True)
        first = await move(h)
        again = await move(h)
        assert normal(again) == normal(first)
        before, after = first[0], again[0]
        assert isinstance(before, MovedQueue)
        assert isinstance(after, MovedQueue)
        # None is ever drawn twice.
        assert before.last_claim >= max(each.claim for each in first if isinstance(each, MovedClaim))
        assert after.last_claim >= before.last_claim
        assert after.last_revision >= before.last_revision >= 1

    @needs("schedules")
    async def test_schedules_move(self, h: Harness) -> None:
        """B2, R4: with revision, anchor, due time and last outcome; their series go on."""
        worker = await h.worker("w", "g")
        schedule = await fire(h, await put(h, overlap=False))
        await worker.complete(await worker.one())
        await fire(h, schedule)
        other = await put(h, "t", cron_pattern="* * * * *", interval_seconds=None, timezone="Europe/Berlin")
        before = await h.store.schedules(h.queue)
        await move(h)
        assert await h.store.schedules(h.queue) == before
        (after, _) = before
        await fire(h, after)  # Its job still waits, so there is no other one.
        worker = await moved(worker)
        assert len(await worker.drain()) == 1
        replaced = await put(h, "u")
        assert replaced.revision > other.revision

    @needs("drop_schedule", "cancel")
    async def test_name_spaces_are_kept(self, h: Harness) -> None:
        """B2, R3: an occurrence is no user's job, though their ids be alike."""
        worker = await h.worker("w", "g")
        schedule = await fire(h, await put(h))
        assert schedule.next_at is not None
        await h.add(f"s:{schedule.next_at - MINUTE}")
        await move(h)
        assert await h.store.drop_schedule(h.queue, "s")
        worker = await moved(worker)
        assert await worker.drain() == [f"s:{schedule.next_at - MINUTE}"]

    @needs("failed", "retry_failed")
    async def test_failed_entries_are_kept(self, h: Harness) -> None:
        """B2, F4: in their order, and they can be retried."""
        worker = await h.worker("w", "g", "other")
        for job_id in ("b", "a"):
            await h.add(NewJob(job_id, job_id.encode(), 3, b'{"k":"v"}'))
            for group in ("g", "other"):
                await worker.settle(Fail((await worker.one(group)).key, LAST), group=group)
        before = await h.store.failed(h.queue)
        await move(h)
        after = await h.store.failed(h.queue)
        assert [replace(entry, entry_id="") for entry in after] == [
            replace(entry, entry_id="") for entry in before
        ]
        assert await h.store.retry_failed(h.queue, "b") == 2
        worker = await moved(worker)
        claim = await worker.one("g")
        assert (claim.job_id, claim.data, claim.priority, claim.metadata) == ("b", b"b", 3, b'{"k":"v"}')
        assert (await worker.ids(group="other")) == ["b"]

    @needs("stats", "paused", "groups", "set_paused", "drop_group")
    async def test_counts_pause_and_groups_are_kept(self, h: Harness) -> None:
        """B2, L3: those of groups that are gone, too."""
        worker = await h.worker("w", "g", GroupJoin("e", ephemeral=True, max_stalls=9))
        gone = await h.worker("v", "gone")
        await h.add("a", "b")
        await gone.drain()
        await gone.leave()
        await h.store.drop_group(h.queue, "gone")
        await worker.complete(await worker.one("g"), group="g")
        await h.store.set_paused(h.queue, True)
        stats, groups = await h.store.stats(h.queue), await h.store.groups(h.queue)
        await move(h)
        assert await h.store.stats(h.queue) == stats
        assert await h.store.groups(h.queue) == groups
        assert await h.store.paused(h.queue)

    async def test_unclaimed_jobs_are_kept(self, h: Harness) -> None:
        """B2, G2: in their order, delayed ones for later."""
        await h.add("c", "a", "b")
        await h.add("due", delay_ms=1000)
        await move(h)
        worker = await h.worker("w", "g")
        assert await worker.drain() == ["c", "a", "b"]
        h.clock.advance(1)
        assert await worker.drain() == ["due"]

    @limits(unclaimed_retention_ms=60_000)
    async def test_retention_of_unclaimed_jobs_goes_on(self, h: Harness) -> None:
        """B2, G2: a move gives them no more time."""
        await h.add("a")
        h.clock.advance(59)
        await move(h)
        h.clock.advance(2)
        assert await (await h.worker("w", "g")).drain() == []

    async def test_expiry_is_kept(self, h: Harness) -> None:
        """B2, J9: of what has not started, and never of what has."""
        worker = await h.worker("w", "g")
        await h.add("started", expires_ms=5000)
        await worker.settle(GiveBack((await worker.one()).key))
        await h.add("a", expires_ms=5000)
        await move(h)
        worker = await moved(worker)
        await h.travel(6, worker)
        assert await worker.drain() == ["started"]
        assert await h.accepts("a")

    async def test_living_ids_are_taken(self, h: Harness) -> None:
        """B2, J7, J10: and a token still tells a call that was repeated."""
        worker = await h.worker("w", "g")
        await h.add(NewJob("a", b"", token="mine"), "b")
        await worker.complete(*[claim for claim in await worker.claim(2) if claim.job_id == "b"])
        await move(h)
        assert not await h.accepts("a")
        assert await h.accepts("b")
        assert [each.created for each in await h.add(NewJob("a", b"", token="mine"))] == [True]
        assert [each.created for each in await h.add(NewJob("a", b"", token="other"))] == [False]

    async def test_jobs_of_two_groups_end_with_their_last_delivery(self, h: Harness) -> None:
        """B2, J7: deliveries that are open, wherever, are counted."""
        worker = await h.worker("w", "g", "other", "third")
        await h.add("a")
        await worker.settle(RetryLater((await worker.one("g")).key, 1000), group="g")
        running = await worker.one("third")
        await move(h)
        worker = await moved(worker)
        (held,) = await movable(h).held(worker.epoch)
        assert held.job_id == running.job_id
        assert await worker.settle(Done(held.key), group="third") == []
        assert await worker.drain("other") == ["a"]
        assert not await h.accepts("a")
        await h.travel(2, worker)
        assert await worker.drain("g") == ["a"]
        assert await h.accepts("a")

    @needs("jobs")
    async def test_new_group_that_was_being_filled(self, h: Harness) -> None:
        """B2, G3: a group that starts from the earliest gets everything, though a move comes between."""
        worker = await h.worker("w", "g")
        await h.add(*(f"{number}" for number in range(2500)))
        late = await h.worker("v", GroupJoin("late", start_from="earliest"))
        records = await export(h, 1000)
        await movable(h).clear("there")
        await take_in(h, records, batch=1000)
        late, worker = await moved(late), await moved(worker)
        everything = [f"{number}" for number in range(2500)]
        assert await late.drain() == everything
        assert await worker.drain() == everything

    async def test_payloads_bound_a_batch(self, h: Harness) -> None:
        """B2: memory stays bounded, however large the payloads."""
        await h.add(*(NewJob(f"{number}", bytes(1_000_000)) for number in range(12)))
        await h.store.fence(h.queue, "there")
        sizes = []
        cursor: str | None = ""
        while cursor is not None:
            records, cursor = await movable(h).export(h.queue, cursor, 1000)
            sizes.append(sum(isinstance(record, MovedJob) for record in records))
        assert sum(sizes) == 12
        assert max(sizes) <= 5
