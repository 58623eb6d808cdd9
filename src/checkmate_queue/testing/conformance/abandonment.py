"""Durable groups that nobody consumes any more."""

from __future__ import annotations

from itertools import pairwise

from checkmate_queue.core.model import AbandonedGroup, Millis
from checkmate_queue.testing.conformance.groups import ephemeral
from checkmate_queue.testing.conformance.harness import Harness, Worker
from checkmate_queue.testing.conformance.selection import Theme, limits, needs

HOUR = 3600.0
DAY = 24 * HOUR
RETENTION = limits(group_retention_ms=3 * 86_400_000)


class Abandonment(Theme):
    """How long a durable group without consumers lives, here three days."""

    @RETENTION
    async def test_dropped_after_the_retention(self, h: Harness) -> None:
        """G4: a group unattended while another works is dropped; its deliveries end."""
        keeper = await self.abandon(h, "idle")
        await h.add("a", "b")
        await keeper.drain()
        before = await self.live(h, keeper, 2.9 * DAY)
        assert [name for _, names in before.dropped for name in names] == []
        assert not await h.accepts("a")
        after = await self.live(h, keeper, 0.5 * DAY)
        assert [name for _, names in after.dropped for name in names] == ["idle"]
        assert await h.accepts("a")
        assert await keeper.drain() == ["a"]
        assert await (await h.worker("late", "idle")).ids() == []

    @RETENTION
    async def test_announced_every_day_before(self, h: Harness) -> None:
        """G4: warnings name the group and when it goes, at most once a day, whoever ticks."""
        start = h.now
        keeper = await self.abandon(h, "idle")
        other = await h.worker("other", "busy", lease=12 * HOUR)
        diary = await self.live(h, keeper, 3.2 * DAY, other)
        times = [at for at, _ in diary.warned]
        assert len(times) in {2, 3}
        assert all(later - sooner >= 23 * HOUR * 1000 for sooner, later in pairwise(times))
        assert times[0] - start >= 12 * HOUR * 1000
        for _, group in diary.warned:
            assert group.name == "idle"
            assert abs(group.drop_at - start - 3 * DAY * 1000) <= 6 * HOUR * 1000

    @RETENTION
    async def test_attended_groups_stay(self, h: Harness) -> None:
        """G4: a group whose worker lives is not abandoned, busy or not."""
        keeper = await h.worker("keeper", "busy", lease=12 * HOUR)
        quiet = await h.worker("quiet", "quiet", lease=12 * HOUR)
        diary = await self.live(h, keeper, 4 * DAY, quiet)
        assert (diary.warned, diary.dropped) == ([], [])

    @RETENTION
    async def test_last_durable_group_stays(self, h: Harness) -> None:
        """G4: the last durable group of a queue is never dropped by itself."""
        idle = await h.worker("idle", "g")
        await idle.leave()
        await h.add("a")
        keeper = await h.worker("keeper", ephemeral("e"), lease=12 * HOUR)
        diary = await self.live(h, keeper, 8 * DAY)
        assert diary.dropped == []
        assert await (await h.worker("w", "g")).ids() == ["a"]

    @RETENTION
    async def test_one_of_all_unattended_groups_stays(self, h: Harness) -> None:
        """G4: where an ephemeral group alone works, all durable ones go but one."""
        worker = await h.worker("w", "g1", "g2", "g3")
        await worker.leave()
        keeper = await h.worker("keeper", ephemeral("e"), lease=12 * HOUR)
        diary = await self.live(h, keeper, 8 * DAY)
        assert len([name for _, names in diary.dropped for name in names]) == 2

    @RETENTION
    async def test_time_without_any_worker_does_not_count(self, h: Harness) -> None:
        """G4: only time in which another group had a worker counts, and it adds up."""
        keeper = await self.abandon(h, "idle")
        await self.live(h, keeper, 2 * DAY)
        await keeper.leave()
        for number in range(20):
            h.clock.advance(6 * HOUR)
            await h.add(f"job {number}")
        keeper = await h.worker("keeper again", "busy", lease=12 * HOUR)
        diary = await self.live(h, keeper, 0.7 * DAY)
        assert diary.dropped == []
        diary = await self.live(h, keeper, 0.7 * DAY)
        assert [name for _, names in diary.dropped for name in names] == ["idle"]

    @RETENTION
    async def test_return_starts_the_time_anew(self, h: Harness) -> None:
        """G4: a group that was attended again has its whole retention before it."""
        keeper = await self.abandon(h, "idle")
        await self.live(h, keeper, 2.5 * DAY)
        visitor = await h.worker("visitor", "idle")
        await visitor.leave()
        diary = await self.live(h, keeper, 2.5 * DAY)
        assert diary.dropped == []
        diary = await self.live(h, keeper, 1 * DAY)
        assert [name for _, names in diary.dropped for name in names] == ["idle"]

    @RETENTION
    async def test_attended_time_does_not_count_though_nobody_ticked(self, h: Harness) -> None:
        """G4: what counts is who was there, not who ticked."""
        keeper = await h.worker("keeper", "busy", lease=12 * HOUR)
        idle = await h.worker("idle", "idle", lease=12 * HOUR)
        await h.travel(2 * DAY, keeper, idle)
        await idle.leave()
        diary = await self.live(h, keeper, 2.5 * DAY)
        assert diary.dropped == []
        diary = await self.live(h, keeper, 1 * DAY)
        assert [name for _, names in diary.dropped for name in names] == ["idle"]

    @RETENTION
    @needs("drop_group")
    async def test_time_beside_a_group_that_was_dropped_counts(self, h: Harness) -> None:
        """G4: it counts that another group had a worker, though that group is gone."""
        keeper = await self.abandon(h, "idle")
        await h.travel(2 * DAY, keeper)
        for number in range(4):
            h.clock.advance(4 * HOUR)
            await h.add(f"job {number}")
        assert await h.store.drop_group(h.queue, "busy")
        keeper = await h.worker("another keeper", "other", lease=12 * HOUR)
        diary = await self.live(h, keeper, 1.5 * DAY)
        assert [name for _, names in diary.dropped for name in names] == ["idle"]

    @RETENTION
    async def test_gap_does_not_count(self, h: Harness) -> None:
        """G12: an outage moves the time since which groups are unattended, too."""
        keeper = await self.abandon(h, "idle")
        await self.live(h, keeper, 1 * DAY)
        h.clock.advance(30 * DAY)
        diary = await self.live(h, keeper, 1.5 * DAY)
        assert diary.dropped == []
        diary = await self.live(h, keeper, 1 * DAY)
        assert [name for _, names in diary.dropped for name in names] == ["idle"]

    @RETENTION
    @needs("stats")
    async def test_numbers_of_an_abandoned_group(self, h: Harness) -> None:
        """G4: dropping ends deliveries as expired; lifetime counts stay with the queue."""
        keeper = await self.abandon(h, "idle")
        await h.add("a", "b")
        await keeper.drain()
        await self.live(h, keeper, 3.5 * DAY)
        stats = await h.store.stats(h.queue)
        assert (stats.expired, stats.completed, stats.pending) == (2, 2, 0)
        assert sorted(stats.groups) == ["busy"]

    async def abandon(self, h: Harness, group: str) -> Worker:
        """A group whose worker has left, and the worker of another group."""
        keeper = await h.worker("keeper", "busy", lease=12 * HOUR)
        idle = await h.worker("idle", group, lease=12 * HOUR)
        await idle.leave()
        return keeper

    async def live(self, h: Harness, keeper: Worker, seconds: float, *others: Worker) -> Diary:
        """Let time pass under ticks, taking turns, every three hours."""
        diary = Diary()
        workers = [keeper, *others]
        end = h.now + round(seconds * 1000)
        while h.now < end:
            await h.travel(min(3 * HOUR, (end - h.now) / 1000), *workers)
            workers.append(workers.pop(0))
            for tick in await workers[0].sweep():
                diary.warned += [(h.now, group) for group in tick.abandoned]
                diary.dropped += [(h.now, tick.dropped)] if tick.dropped else []
        return diary


class Diary:
    """What ticks told, and when."""

    def __init__(self) -> None:
        self.warned: list[tuple[Millis, AbandonedGroup]] = []
        self.dropped: list[tuple[Millis, list[str]]] = []
