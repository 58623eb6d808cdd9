"""Leases: how they are kept and lost, and what becomes of the claims under them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from checkmate_queue.core.model import (
    Cancelled,
    Done,
    Fail,
    Failure,
    GiveBack,
    GroupJoin,
    LapsedClaim,
    LapseSettlement,
    RetryLater,
    Settlement,
)
from checkmate_queue.store import LeaseLostError
from checkmate_queue.testing.conformance.harness import Harness, Worker
from checkmate_queue.testing.conformance.selection import Theme, needs

STALLED = Failure("stalled", "the worker was lost")


def give_back(lapsed: LapsedClaim) -> LapseSettlement:
    """The usual settlement of a lapsed claim."""
    return LapseSettlement(lapsed.group, GiveBack(lapsed.claim.key))


async def lapsed_of(worker: Worker) -> list[LapsedClaim]:
    """What a worker's tick hands it."""
    return (await worker.tick()).lapsed


class Leases(Theme):
    """Keeping a lease, losing it, and being fenced off."""

    async def test_lease_ends_on_time(self, h: Harness) -> None:
        """G7: a lease that is not renewed lives to its last millisecond, and not on it."""
        worker = await h.worker("w", "g")
        keeper = await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        await h.travel(29.999, keeper)
        assert await lapsed_of(keeper) == []
        h.clock.advance(0.001)
        assert [lapsed.claim.job_id for lapsed in await lapsed_of(keeper)] == ["a"]

    async def test_heartbeats_renew(self, h: Harness) -> None:
        """G7: a worker that renews keeps its claims for as long as it does."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        claim = await worker.one()
        await h.travel(200, worker, keeper)
        assert await lapsed_of(keeper) == []
        await worker.complete(claim)

    async def test_exchanges_renew(self, h: Harness) -> None:
        """G7: every exchange renews the lease of the whole epoch, in any of its groups."""
        worker, keeper = await h.worker("w", "g1", "g2"), await h.worker("keeper", "g1")
        await h.add("a")
        claim = await worker.one("g1")
        for _ in range(10):
            await h.travel(20, keeper)
            await worker.exchange(group="g2")
            assert await lapsed_of(keeper) == []
        await worker.complete(claim, group="g1")

    async def test_joining_again_renews(self, h: Harness) -> None:
        """G7: a living worker that joins again has its whole lease before it."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.travel(20, keeper)
        again = await worker.rejoin()
        await h.travel(20, keeper)
        assert again.epoch == worker.epoch
        assert not await worker.is_dead()

    async def test_ticks_do_not_renew(self, h: Harness) -> None:
        """G7: a worker that only ticks loses its lease."""
        worker = await h.worker("w", "g")
        for _ in range(2):
            h.clock.advance(14)
            await worker.tick()
        h.clock.advance(2)
        with pytest.raises(LeaseLostError):
            await worker.tick()

    async def test_heartbeat_from_another_thread(self, h: Harness) -> None:
        """G11: a heartbeat may come from another thread's loop, and renews like any."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        claim = await worker.one()
        for _ in range(4):
            await h.travel(20, keeper)
            await asyncio.to_thread(lambda: asyncio.run(h.store.heartbeat(worker.epoch, b"busy")))
        assert await lapsed_of(keeper) == []
        await worker.complete(claim)

    async def test_lost_lease_in_another_thread(self, h: Harness) -> None:
        """G8: the heartbeat thread is told as well that the lease is lost."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.travel(31, keeper)
        with pytest.raises(LeaseLostError):
            await asyncio.to_thread(lambda: asyncio.run(h.store.heartbeat(worker.epoch)))

    async def test_every_verb_of_a_dead_epoch_is_refused(self, h: Harness) -> None:
        """G8: reaped or not, exchange, heartbeat and tick raise."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        claim = await worker.one()
        await h.travel(31, keeper)
        for _ in range(2):
            with pytest.raises(LeaseLostError):
                await worker.exchange(Done(claim.key))
            with pytest.raises(LeaseLostError):
                await worker.heartbeat()
            with pytest.raises(LeaseLostError):
                await worker.tick()
            await keeper.tick()

    async def test_outcomes_of_a_dead_epoch_change_nothing(self, h: Harness) -> None:
        """G8: what a dead worker reports is refused, whether another has its claims already or not."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        claim = await worker.one()
        outcomes: list[Settlement] = [Done(claim.key), Fail(claim.key, STALLED), Cancelled(claim.key)]
        outcomes += [RetryLater(claim.key, 0), GiveBack(claim.key)]
        await h.travel(31, keeper)
        for outcome in outcomes:
            with pytest.raises(LeaseLostError):
                await worker.exchange(outcome, want=5)
        (lapsed,) = await lapsed_of(keeper)
        for outcome in outcomes:
            with pytest.raises(LeaseLostError):
                await worker.exchange(outcome, want=5)
        assert not await h.accepts("a")
        await keeper.tick(give_back(lapsed))
        again = await keeper.one()
        assert (again.job_id, again.attempts) == ("a", 0)

    async def test_unknown_epoch_is_refused(self, h: Harness) -> None:
        """G8: an epoch that never was is as dead as any."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await worker.leave()
        with pytest.raises(LeaseLostError):
            await worker.exchange(want=1)
        with pytest.raises(LeaseLostError):
            await worker.tick()

    async def test_dead_worker_joins_under_a_new_epoch(self, h: Harness) -> None:
        """G8: joining again gives a new epoch; the old one stays dead, its claims are not the new one's."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "other")
        await h.add("a")
        claim = await worker.one()
        await h.travel(31, keeper)
        again = await worker.rejoin()
        assert again.epoch.number != worker.epoch.number
        assert await again.settle(Done(claim.key)) == [claim.key]
        assert await worker.is_dead()
        (lapsed,) = await lapsed_of(again)
        assert (lapsed.claim.job_id, lapsed.claim.stalls) == ("a", 1)

    async def test_dead_epoch_stays_dead_through_a_gap(self, h: Harness) -> None:
        """G8: a lease that ran out before an outage is not moved on by it."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.travel(31, keeper)
        h.clock.advance(3600)
        await keeper.heartbeat()
        assert await worker.is_dead()

    async def test_dead_epoch_stays_dead_when_the_clock_goes_back(self, h: Harness) -> None:
        """G8: neither a large nor a small step back brings an epoch back to life."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.travel(30.5, keeper)
        assert await worker.is_dead()
        h.clock.back(0.7)
        assert await worker.is_dead()
        h.clock.back(3600)
        await keeper.heartbeat()
        assert await worker.is_dead()

    async def test_own_lease_length(self, h: Harness) -> None:
        """G7: each epoch has the lease that it joined with."""
        brief = await h.worker("brief", "g", lease=5)
        long = await h.worker("long", "g", lease=300)
        keeper = await h.worker("keeper", "g", lease=6)
        await h.travel(6, keeper)
        assert await brief.is_dead()
        assert not await long.is_dead()

    async def test_next_look_is_not_later_than_anothers_lease(self, h: Harness) -> None:
        """G7: `tick` says to come again when the next lease of others may run out."""
        worker, keeper = await h.worker("w", "g", lease=20), await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        tick = await keeper.tick()
        assert tick.next_at is not None
        assert h.now < tick.next_at <= h.now + 20_000

    async def test_claim_of_a_living_worker_is_not_handed_on(self, h: Harness) -> None:
        """G7: only what lapsed is handed on."""
        worker, other = await h.worker("w", "g"), await h.worker("other", "g")
        keeper = await h.worker("keeper", "g")
        await h.add("a", "b")
        await worker.one()
        claim = await other.one()
        await h.travel(31, keeper, other)
        assert [lapsed.claim.job_id for lapsed in await lapsed_of(keeper)] == ["a"]
        await other.complete(claim)

    @needs("workers")
    async def test_workers_are_listed_while_they_live(self, h: Harness) -> None:
        """L10: a worker is shown with its groups, lease, claims and last report."""
        worker, keeper = await h.worker("w", "g2", "g1"), await h.worker("keeper", "g1")
        await h.add("a", "b")
        await worker.claim(2, "g1")
        await worker.heartbeat(b"{\x00}")
        shown, other = await h.store.workers(h.queue)
        assert (shown.worker, shown.epoch, sorted(shown.groups)) == ("w", worker.epoch.number, ["g1", "g2"])
        assert (shown.expires_at, shown.processing, shown.report) == (h.now + 30_000, 2, b"{\x00}")
        assert (other.worker, other.processing, other.report) == ("keeper", 0, b"")
        await h.travel(31, keeper)
        await keeper.tick()
        assert [record.worker for record in await h.store.workers(h.queue)] == ["keeper"]
        await keeper.leave()
        assert await h.store.workers(h.queue) == []


class Gaps(Theme):
    """Time in which nobody reached the engine."""

    async def test_every_lease_moves_on_by_a_gap(self, h: Harness) -> None:
        """G12: after an outage no lease has run out, and no stall is counted."""
        worker, other = await h.worker("w1", "g"), await h.worker("w2", "g")
        await h.add("a")
        claim = await worker.one()
        h.clock.advance(3600)
        assert await lapsed_of(other) == []
        await worker.complete(claim)

    async def test_every_writing_verb_notices_a_gap(self, h: Harness) -> None:
        """G12: whoever comes first after an outage, leases are moved on."""
        worker, other = await h.worker("w1", "g"), await h.worker("w2", "g")
        visitor = await h.worker("visitor", "v")
        visits: tuple[Callable[[], Awaitable[object]], ...] = (
            worker.exchange,
            worker.heartbeat,
            worker.tick,
            other.tick,
            lambda: h.add("job"),
            lambda: h.worker("another", "g"),
            visitor.leave,
        )
        for first in visits:
            h.clock.advance(1000)
            await first()
            assert not await worker.is_dead()
            assert not await other.is_dead()

    async def test_rest_of_a_lease_survives_a_gap(self, h: Harness) -> None:
        """G12: a lease is moved on, not renewed: a dead worker is found soon after the outage."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        await h.travel(20, keeper)
        h.clock.advance(1000)
        await keeper.heartbeat()
        await h.travel(9, keeper)
        assert await lapsed_of(keeper) == []
        await h.travel(2, keeper)
        assert [lapsed.claim.stalls for lapsed in await lapsed_of(keeper)] == [1]

    async def test_silence_of_half_a_lease_is_none(self, h: Harness) -> None:
        """G12: steps of up to half a lease are ordinary time."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        for _ in range(2):
            h.clock.advance(15)
            await keeper.heartbeat()
        assert len(await lapsed_of(keeper)) == 1

    async def test_each_lease_has_a_gap_of_its_own(self, h: Harness) -> None:
        """G12: half of an epoch's own lease decides, so that a short one moves where a long one runs."""
        brief, long = await h.worker("brief", "g", lease=10), await h.worker("long", "g", lease=40)
        for number in range(6):
            h.clock.advance(8)
            await h.add(f"job {number}")
        assert not await brief.is_dead()
        assert await long.is_dead()

    async def test_producers_are_contact(self, h: Harness) -> None:
        """G12: an outage is time in which no process came, producers included."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await worker.one()
        for number in range(4):
            h.clock.advance(10)
            await h.add(f"job {number}")
        keeper = await h.worker("keeper", "g")
        assert [lapsed.claim.job_id for lapsed in await lapsed_of(keeper)] == ["a"]

    async def test_contact_belongs_to_a_queue(self, h: Harness) -> None:
        """G12: traffic of another queue is no contact of this one."""
        worker = await h.worker("w", "g")
        other = await (await h.on("other")).worker("w", "g")
        await h.travel(100, other)
        assert not await worker.is_dead()

    async def test_ephemeral_groups_survive_a_gap(self, h: Harness) -> None:
        """G12: no ephemeral group is dropped for an outage, and jobs still go to it."""
        worker = await h.worker("w", GroupJoin("e", ephemeral=True))
        keeper = await h.worker("keeper", "g")
        h.clock.advance(1000)
        await h.add("a")
        assert [name for tick in await keeper.sweep() for name in tick.dropped] == []
        assert await worker.ids() == ["a"]

    async def test_clock_that_goes_back_takes_leases_along(self, h: Harness) -> None:
        """G12: after a step back leases live as long as before it, not longer."""
        worker, keeper = await h.worker("w", "g"), await h.worker("keeper", "g")
        await h.add("a")
        await worker.one()
        await h.travel(10, keeper)
        h.clock.back(3600)
        await keeper.heartbeat()
        assert await lapsed_of(keeper) == []
        await h.travel(19, keeper)
        assert await lapsed_of(keeper) == []
        await h.travel(2, keeper)
        assert len(await lapsed_of(keeper)) == 1

    async def test_everything_due_runs_after_a_gap(self, h: Harness) -> None:
        """L8: after a jump forward what is due is claimed at once."""
        worker = await h.worker("w", "g")
        await h.add("a", delay_ms=1000)
        await h.add("b", delay_ms=3_599_000)
        h.clock.advance(3600)
        assert await worker.ids() == ["a", "b"]
