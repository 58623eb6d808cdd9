"""What happens to workers and to the two stores while everything moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from checkmate_queue.core.model import Done, GiveBack, GroupJoin, LapseSettlement, RetryLater, Settlement
from checkmate_queue.core.moving import MovedQueue
from checkmate_queue.moving import MoveLostError
from checkmate_queue.store import FencedError
from checkmate_queue.testing.conformance.fencing import refused
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.moving import export, movable, move, moved, take_in
from checkmate_queue.testing.conformance.schedules import put, spec
from checkmate_queue.testing.conformance.selection import MOVING_VERBS, Theme, all_need, needs


async def lost(call: Callable[[], Awaitable[object]]) -> None:
    """The call must be refused, as the move is not this one any more."""
    with pytest.raises(MoveLostError):
        await call()


@all_need(*MOVING_VERBS)
class Running(Theme):
    """Deliveries that run while everything moves."""

    async def test_worker_settles_on_the_new_backend(self, h: Harness) -> None:
        """B2: its claims are those of its epoch, in their order, under other keys."""
        worker = await h.worker("w", "g")
        await h.add("b", "a", "c")
        await worker.claim(2)
        await worker.claim(1)
        await move(h)
        worker = await moved(worker)
        held = await movable(h).held(worker.epoch)
        assert [(each.group, each.job_id, each.exchange) for each in held] == [
            ("g", "b", 1), ("g", "a", 1), ("g", "c", 2),
        ]  # fmt: skip
        settled: list[Settlement] = [Done(held[0].key), RetryLater(held[1].key, 0), GiveBack(held[2].key)]
        assert await worker.settle(*settled) == []
        assert await worker.drain() == ["c", "a"]

    async def test_lost_answer_is_found_again(self, h: Harness) -> None:
        """B2: an exchange that took effect, unanswered, before the fence is known on the new backend."""
        worker = await h.worker("w", "g")
        await h.add("a", "b", "c")
        first = await worker.one()
        lost = await worker.exchange(Done(first.key), want=1)
        await move(h)
        worker = await moved(worker)
        again = await worker.exchange(Done(first.key), want=1, n=2)
        assert [claim.job_id for claim in again.claims] == [claim.job_id for claim in lost.claims] == ["b"]
        with pytest.raises(ValueError):
            await worker.exchange(n=1)
        assert await worker.settle(Done(again.claims[0].key)) == []
        assert await worker.drain() == ["c"]

    async def test_attempts_and_stalls_are_kept(self, h: Harness) -> None:
        """B2: of ready, running and waiting ones."""
        worker, other = await h.worker("w", "g"), await h.worker("v", "g")
        await h.add("retried")
        await worker.settle(RetryLater((await worker.one()).key, 60_000))
        await h.add("stalled")
        await other.one()
        await h.travel(31, worker)
        (lapsed,) = (await worker.tick()).lapsed
        await worker.tick(LapseSettlement("g", GiveBack(lapsed.claim.key)))
        await move(h)
        worker = await moved(worker)
        claim = await worker.one()
        assert (claim.job_id, claim.attempts, claim.stalls) == ("stalled", 0, 1)
        await h.travel(61, worker)
        claim = await worker.one()
        assert (claim.job_id, claim.attempts, claim.stalls) == ("retried", 1, 0)

    async def test_leases_start_anew(self, h: Harness) -> None:
        """B2: at the flip; who does not come back then loses its deliveries as ever."""
        silent, worker = await h.worker("w", "g"), await h.worker("v", "g")
        await h.add("a")
        await silent.one()
        await h.travel(20, worker)
        records = await export(h)
        h.clock.advance(300)
        await movable(h).clear("there")
        await take_in(h, records)
        worker = await moved(worker)
        await h.travel(29, worker)
        assert (await worker.tick()).lapsed == []
        await h.travel(2, worker)
        (lapsed,) = (await worker.tick()).lapsed
        assert (lapsed.claim.job_id, lapsed.claim.stalls) == ("a", 1)

    async def test_dead_epochs_stay_dead(self, h: Harness) -> None:
        """B2, G8: what they held is handed on, also where their worker has come back under its name."""
        dead, worker = await h.worker("w", "g"), await h.worker("v", "g")
        await h.add("a", "b")
        await dead.one()
        await h.travel(31, worker)
        again = await dead.rejoin()
        await again.one()
        await move(h)
        worker, again = await moved(worker), await moved(again)
        assert [each.job_id for each in await movable(h).held(again.epoch)] == ["b"]
        (lapsed,) = (await worker.tick()).lapsed
        assert (lapsed.claim.job_id, lapsed.claim.stalls) == ("a", 1)

    @needs("workers")
    async def test_numbers_of_epochs_are_never_given_again(self, h: Harness) -> None:
        """G8: who slept through moves away and back must not take another worker's epoch for its own."""
        owners: dict[int, str] = {}
        workers = {name: await h.worker(name, "g") for name in ("v", "w")}
        for leaving in ("v", "w"):
            workers[f"after {leaving}"] = await h.worker(f"after {leaving}", "g")
            await move(h)
            for record in await h.store.workers(h.queue):
                assert owners.setdefault(record.epoch, record.worker) == record.worker
            workers = {name: await moved(worker) for name, worker in workers.items()}
            await h.store.leave(workers.pop(leaving).epoch, ["g"])

    async def test_lapsed_claims_stay_with_who_settles_them(self, h: Harness) -> None:
        """B2: without a further stall, and no claims of its own."""
        dead, worker = await h.worker("w", "g"), await h.worker("v", "g")
        await h.add("a")
        await dead.one()
        await h.travel(31, worker)
        assert len((await worker.tick()).lapsed) == 1
        await move(h)
        worker = await moved(worker)
        assert await movable(h).held(worker.epoch) == []
        (lapsed,) = (await worker.tick()).lapsed
        assert lapsed.claim.stalls == 1
        await worker.tick(LapseSettlement("g", GiveBack(lapsed.claim.key)))
        assert await worker.drain() == ["a"]

    @needs("cancel")
    async def test_cancelled_claims_stay_cancelled(self, h: Harness) -> None:
        """B2, L12: the worker is told on the new backend, and the delivery ends as cancelled."""
        worker = await h.worker("w", "g")
        await h.add("a")
        await worker.one()
        await h.store.cancel(h.queue, "a")
        await move(h)
        worker = await moved(worker)
        (held,) = await movable(h).held(worker.epoch)
        assert held.cancelled
        assert (await worker.heartbeat()).cancelled == [("g", held.key)]
        await worker.settle(RetryLater(held.key, 0))
        assert await worker.drain() == []
        assert await h.accepts("a")


@all_need(*MOVING_VERBS)
class Receiving(Theme):
    """`receive`, `admit`, `clear` and `reopen`."""

    async def test_store_with_queues_is_not_empty(self, h: Harness) -> None:
        """B1: it does not receive, and stays as it is, fenced or not."""
        await h.add("a")
        assert not await movable(h).is_vacant()
        assert not await movable(h).receive("t", "back")
        await h.store.fence(None, "there")
        await h.store.fence(h.queue, "there")
        assert not await movable(h).receive("t", "back")
        await movable(h).reopen("there")
        assert await (await h.worker("w", "g")).drain() == ["a"]

    async def test_receiving_store_is_closed(self, h: Harness) -> None:
        """B3, B6: for every queue, known or new, until it is admitted."""
        records = await export(h)
        store = movable(h)
        await store.clear("there")
        await refused(lambda: h.add("a"), "there")
        await refused(lambda: store.register("new"), "there")
        await store.receive("t", "back")
        await refused(lambda: h.add("a"), "back")
        await store.restore("t", h.queue, 1, records)
        assert await store.is_vacant()
        await refused(lambda: h.add("a"), "back")
        await refused(lambda: store.register(h.queue), "back")
        await refused(lambda: store.register("new"), "back")
        second = await h.second_store()
        await refused(lambda: second.join(h.queue, "w", [GroupJoin("g")], 1000), "back")
        await store.admit("t")
        await store.register("new")
        assert await h.accepts("a")

    async def test_cleared_store_refuses_what_it_knew(self, h: Harness) -> None:
        """B3: a worker that comes late meets the fence, and is not told that the queue is unknown."""
        worker = await h.worker("w", "g")
        await h.store.fence(None, "there")
        await h.store.fence(h.queue, "there")
        await movable(h).clear("there")
        await refused(worker.heartbeat)
        await refused(lambda: worker.exchange(want=1))
        await refused(lambda: h.store.put_schedule(h.queue, spec(h)))

    @needs("queues")
    async def test_cleared_store_is_empty(self, h: Harness) -> None:
        """B1: and may receive again; reopened, it is as a new one."""
        await h.worker("w", "g")
        await h.add("a")
        await put(h)
        await h.store.fence(None, "there")
        await movable(h).clear("there")
        assert await h.store.queues() == []
        assert await movable(h).is_vacant()
        await movable(h).reopen("elsewhere")
        await refused(lambda: h.store.register(h.queue))
        await movable(h).reopen("there")
        await h.store.register(h.queue)
        worker = await h.worker("w", "g")
        assert await worker.drain() == []
        assert await h.accepts("a")

    async def test_store_that_was_left_stays_closed(self, h: Harness) -> None:
        """B6: a move back to it that is undone must not open it to those who never heard of the move away."""
        await h.add("a")
        records, store = await export(h), movable(h)
        await store.clear("there")
        await store.receive("given up", "back")
        await store.restore("given up", h.queue, 1, records)
        assert await store.receive("t", "again")
        await store.restore("t", h.queue, 1, records)
        for _ in range(2):
            await store.clear("again")
            await store.reopen("again")
            await refused(lambda: h.add("b"), "there")
            await refused(lambda: store.register("new"), "there")
        assert await store.is_vacant()
        assert await store.receive("u", "back")
        await store.restore("u", h.queue, 1, records)
        await store.admit("u")
        await store.fence(None, "onward")
        await store.reopen("onward")
        await store.register("new")
        assert await (await h.worker("w", "g")).drain() == ["a"]

    async def test_only_its_own_fence_lets_a_store_be_cleared(self, h: Harness) -> None:
        """B6: whoever was given up and comes late removes nothing, though the store is in use again."""
        await h.add("a")
        await movable(h).clear("there")
        records = await export(h)
        await movable(h).clear("elsewhere")
        assert not await movable(h).is_vacant()
        await movable(h).clear("there")
        assert await movable(h).receive("t", "back")
        await movable(h).restore("t", h.queue, 1, records)
        await movable(h).admit("t")
        await movable(h).clear("there")
        await movable(h).clear("back")
        assert await (await h.worker("w", "g")).drain() == ["a"]

    @needs("load_setting", "save_setting")
    async def test_settings_stay(self, h: Harness) -> None:
        """B6: they are not the queues'."""
        await h.store.save_setting("k", "v", 0)
        await move(h)
        assert await h.store.load_setting("k") == ("v", 1)

    async def test_given_up_move_is_refused(self, h: Harness) -> None:
        """B6: once another move began, or this one ended."""
        store, records = movable(h), await export(h)
        await store.clear("there")
        await lost(lambda: store.restore("t", h.queue, 1, records))
        await lost(lambda: store.admit("t"))
        await store.receive("t", "back")
        await store.restore("t", h.queue, 1, records)
        assert await store.receive("u", "back")
        await lost(lambda: store.restore("t", h.queue, 2, records))
        await lost(lambda: store.admit("t"))
        await store.restore("u", h.queue, 1, records)
        await store.admit("u")
        await store.admit("u")
        await lost(lambda: store.restore("u", h.queue, 2, records))
        assert await h.accepts("a")

    async def test_half_filled_store_is_emptied(self, h: Harness) -> None:
        """B6: whoever takes a move over begins anew; and whoever undoes it leaves nothing."""
        await h.add("a")
        store, records = movable(h), await export(h)
        await store.clear("there")
        await store.receive("t", "back")
        await store.restore("t", h.queue, 1, records)
        await take_in(h, records, "u")
        worker = await h.worker("w", "g")
        assert await worker.drain() == ["a"]

    async def test_batches_are_counted(self, h: Harness) -> None:
        """B2: none is stored twice, and none left out."""
        store, records = movable(h), await export(h)
        await store.clear("there")
        await store.receive("t", "back")
        with pytest.raises(ValueError):
            await store.restore("t", h.queue, 2, records)

    async def test_fences_of_others_stay(self, h: Harness) -> None:
        """B6: reopening lifts the fence that it names."""
        await h.store.fence(h.queue, "there")
        await movable(h).reopen("elsewhere")
        with pytest.raises(FencedError):
            await h.add("a")
        await movable(h).reopen("there")
        assert await h.accepts("a")

    @needs("queues")
    async def test_several_queues_move(self, h: Harness) -> None:
        """B2: each with its own jobs."""
        other = await h.on("other")
        await h.add("a")
        await other.add("b", "a")
        records = {each.queue: await export(each) for each in (h, other)}
        store = movable(h)
        await store.clear("there")
        await store.receive("t", "back")
        for n, name in enumerate(("other", h.queue), 1):
            await store.restore("t", name, n, records[name])
        await store.admit("t")
        assert await h.store.queues() == ["other", h.queue]
        assert await (await h.worker("w", "g")).drain() == ["a"]
        assert await (await other.worker("w", "g")).drain() == ["b", "a"]

    async def test_export_needs_a_known_queue(self, h: Harness) -> None:
        """B2: and of one without anything comes the queue alone."""
        (record,) = await export(h)
        assert isinstance(record, MovedQueue)
