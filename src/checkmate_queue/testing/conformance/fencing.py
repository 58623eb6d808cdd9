"""Closing a queue for a switch of the backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from checkmate_queue.core.model import Done, LapseSettlement
from checkmate_queue.store import FencedError
from checkmate_queue.testing.conformance.harness import Harness, unit
from checkmate_queue.testing.conformance.schedules import firing, put, spec
from checkmate_queue.testing.conformance.selection import Theme, needs


async def refused(call: Callable[[], Awaitable[object]], successor: str = "there") -> None:
    """The call must be refused with the successor's text."""
    with pytest.raises(FencedError) as caught:
        await call()
    assert caught.value.successor == successor


class FencedQueues(Theme):
    """`fence` of a queue."""

    async def test_every_core_verb_is_refused(self, h: Harness) -> None:
        """B3: nothing can be added to, claimed from or settled in a fenced queue, and nobody joins it."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        claim = await worker.one()
        schedule = await put(h)
        await h.store.fence(h.queue, "there")
        await refused(lambda: h.add("c"))
        await refused(lambda: h.worker("other", "g"))
        await refused(lambda: worker.rejoin("g2"))
        await refused(lambda: worker.exchange(want=1))
        await refused(lambda: worker.exchange(Done(claim.key)))
        await refused(worker.heartbeat)
        await refused(worker.tick)
        await refused(lambda: worker.tick(LapseSettlement("g", Done(claim.key))))
        await refused(worker.leave)
        await refused(lambda: h.store.put_schedule(h.queue, spec(h, "t")))
        await refused(lambda: h.store.fire(h.queue, [firing(schedule)]))

    @needs("cancel", "set_paused", "retry_failed", "discard_failed", "drop_group", "rename_group")
    async def test_repairs_are_refused(self, h: Harness) -> None:
        """B3: nor can it be repaired."""
        await (await h.worker("w", "g")).leave()
        await h.add("a")
        await h.store.fence(h.queue, "there")
        await refused(lambda: h.store.cancel(h.queue, "a"))
        await refused(lambda: h.store.set_paused(h.queue, True))
        await refused(lambda: h.store.retry_failed(h.queue, "a"))
        await refused(lambda: h.store.discard_failed(h.queue))
        await refused(lambda: h.store.drop_group(h.queue, "g"))
        await refused(lambda: h.store.rename_group(h.queue, "g", "new"))

    @needs("drop_schedule", "schedules")
    async def test_schedules_are_kept(self, h: Harness) -> None:
        """B3: a schedule can't be removed from a fenced queue, and can still be read."""
        schedule = await put(h)
        await h.store.fence(h.queue, "there")
        await refused(lambda: h.store.drop_schedule(h.queue, "s"))
        assert await h.store.schedules(h.queue) == [schedule]

    @needs("stats", "jobs", "groups", "workers", "queues", "failed", "paused", "job")
    async def test_reads_show_that_nothing_changed(self, h: Harness) -> None:
        """B3: a fenced queue can be read, and stands as it stood."""
        worker = await h.worker("w", "g")
        await h.add("a", "b")
        claim = await worker.one()
        before = await h.store.stats(h.queue), await h.store.jobs(h.queue), await h.store.workers(h.queue)
        await h.store.fence(h.queue, "there")
        await refused(lambda: h.add("c"))
        await refused(lambda: worker.exchange(Done(claim.key), want=1))
        await refused(worker.leave)
        after = await h.store.stats(h.queue), await h.store.jobs(h.queue), await h.store.workers(h.queue)
        assert after == before
        assert await h.store.queues() == [h.queue]
        assert await h.store.failed(h.queue) == []
        assert not await h.store.paused(h.queue)
        assert [group.name for group in await h.store.groups(h.queue)] == ["g"]
        assert await h.store.job(h.queue, "c") is None

    async def test_every_process_meets_the_fence(self, h: Harness) -> None:
        """B3: by any process, those that come later included."""
        second = await h.second_store()
        worker = await h.through(second).worker("w", "g")
        await h.store.fence(h.queue, "there")
        await refused(lambda: worker.exchange(want=1))
        third = await h.second_store()
        await refused(lambda: third.add(h.queue, [unit("a")]))

    async def test_last_successor_stays(self, h: Harness) -> None:
        """B3: fencing is idempotent, the last successor is told, whatever it contains."""
        await h.store.fence(h.queue, "here")
        await h.store.fence(h.queue, "there")
        await refused(lambda: h.add("a"))
        odd = 'redis://:p\'@h/0?x={y}&z="é"; 🦆'
        await h.store.fence(h.queue, odd)
        await refused(lambda: h.add("a"), odd)

    async def test_other_queues_go_on(self, h: Harness) -> None:
        """B6: a fence holds for its queue alone."""
        other = await h.on("other")
        await h.store.fence(h.queue, "there")
        worker = await other.worker("w", "g")
        await other.add("a")
        assert await worker.ids() == ["a"]


class FencedRegistry(Theme):
    """`fence` of the registry."""

    async def test_new_names_are_refused_and_known_ones_not(self, h: Harness) -> None:
        """B3: no new name slips through; known queues go on until they are fenced themselves."""
        worker = await h.worker("w", "g")
        await h.store.fence(None, "there")
        await refused(lambda: h.store.register("new"))
        await h.store.register(h.queue)
        await h.add("a")
        assert await worker.ids() == ["a"]
        await h.store.fence(h.queue, "there")
        await refused(lambda: h.add("b"))

    async def test_every_process_meets_the_fence_of_the_registry(self, h: Harness) -> None:
        """B3: the registry's fence is stored, and its last successor stays."""
        second = await h.second_store()
        await second.register("known")
        await second.fence(None, "here")
        await h.store.fence(None, "there")
        await refused(lambda: second.register("new"))
        await second.register("known")
        await refused(lambda: h.store.register("new"))

    @needs("queues")
    async def test_refused_name_is_not_listed(self, h: Harness) -> None:
        """B3: what was refused does not exist."""
        await h.store.fence(None, "there")
        await refused(lambda: h.store.register("new"))
        assert await h.store.queues() == [h.queue]
