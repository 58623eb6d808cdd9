"""No script is long, however many groups, priorities and dead numbers there are; and nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import (
    Claim,
    Done,
    Epoch,
    Firing,
    GroupJoin,
    LapseSettlement,
    NewJob,
    NewSchedule,
    RetryLater,
    Settlement,
)
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from tests.servers.redis_storage import RedisStorage

pytest_plugins = ["tests.backends.redis_desk"]

QUEUE = "queue"
LEASE = 600_000
DAY = 86_400_000


def shorten_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes few records from now on, and a scan gives up after ten times as many empty places."""
    monkeypatch.setattr("checkmate_queue.backends.redis.connection.BATCH", 20)


def numbered(amount: int, expires_ms: int | None = None) -> list[NewJob]:
    """Jobs with the ids 0, 1, 2 …"""
    return [NewJob(str(number), b"1", expires_ms=expires_ms) for number in range(amount)]


async def join(store: RedisStore, groups: int) -> Epoch:
    """One worker of many groups."""
    return await store.join(QUEUE, "w", [GroupJoin(f"g{number}") for number in range(groups)], LEASE)


async def settle_all(store: RedisStore, epoch: Epoch, group: str, *, later: bool) -> None:
    """Claim everything, and complete it or have it tried again in a day."""

    def settle(claim: Claim) -> Settlement:
        return RetryLater(claim.key, DAY) if later else Done(claim.key)

    n, claims = 1, (await store.exchange(epoch, group, 1, [], 500)).claims
    while claims:
        n += 1
        claims = (await store.exchange(epoch, group, n, [settle(claim) for claim in claims], 500)).claims


async def test_a_dropped_group_ends_all_that_it_had_begun(
    store: RedisStore, redis_storage: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G4: more deliveries than one scan finds once the first of them are gone."""
    epoch = await join(store, 2)
    await store.add(QUEUE, [numbered(3000)])
    await settle_all(store, epoch, "g0", later=True)
    await settle_all(store, epoch, "g1", later=False)
    await store.leave(epoch, ["g0", "g1"])
    shorten_steps(monkeypatch)
    assert await store.drop_group(QUEUE, "g0")
    (added,) = await store.add(QUEUE, [numbered(3000)])
    assert isinstance(added, list)
    assert all(each.created for each in added)
    assert [key for key in await redis_storage.keys() if "group:1" in key] == []


async def test_a_cleared_queue_leaves_nothing_of_many_occurrences(
    store: RedisStore,
    redis_storage: RedisStorage,
    clock: TravellingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B2: the same for jobs of schedules."""
    spec = NewSchedule("s", b"1", "definition", "timing", clock(), misfire="all")
    stored = await store.put_schedule(QUEUE, spec)
    await join(store, 1)
    due = [clock() + number for number in range(3000)]
    for start in range(0, len(due), 1000):
        times = tuple(due[start : start + 1000])
        firing = Firing("s", stored.revision, times[0], times[-1] + 1, times)
        assert await store.fire(QUEUE, [firing]) == [True]
    shorten_steps(monkeypatch)
    await store.fence(None, "elsewhere")
    await store.fence(QUEUE, "elsewhere")
    await store.clear("elsewhere")
    assert [key for key in await redis_storage.keys() if key.startswith(f"{{{QUEUE}}}")] == [
        f"{{{QUEUE}}}:queue"
    ]


async def test_expiry_counts_every_delivery(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """J9: a step is bounded by deliveries, not by jobs."""
    epoch = await join(store, 50)
    await store.add(QUEUE, [numbered(100, expires_ms=1000)])
    clock.advance(2)
    async with redis_storage.counting_scripts() as scripts:
        await store.tick(epoch)
    assert scripts[0] >= 5
    stats = await store.stats(QUEUE)
    assert (stats.pending, stats.expired) == (0, 5000)
    await store.add(QUEUE, [])
    assert [key for key in await redis_storage.keys() if "ready" in key or "priorities" in key] == []


async def test_dropping_a_schedule_counts_every_delivery(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """R7: the same for what a schedule leaves."""
    await join(store, 50)
    spec = NewSchedule("s", b"1", "definition", "timing", clock(), misfire="all")
    stored = await store.put_schedule(QUEUE, spec)
    due = tuple(clock() + number for number in range(100))
    assert await store.fire(QUEUE, [Firing("s", stored.revision, due[0], None, due)]) == [True]
    async with redis_storage.counting_scripts() as scripts:
        await store.drop_schedule(QUEUE, "s")
        await store.add(QUEUE, [])
    assert scripts[0] >= 5
    stats = await store.stats(QUEUE)
    assert (stats.pending, stats.cancelled) == (0, 5000)
    assert [key for key in await redis_storage.keys() if "ready" in key or "cancel" in key] == []


async def test_dead_numbers_behind_a_living_one_go_with_it(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """J9, L12: more than one step takes, in a group that nobody consumes."""
    await store.leave(await join(store, 1), ["g0"])
    await store.add(QUEUE, [[NewJob("head", b"1")]])
    await store.add(QUEUE, [numbered(3000, expires_ms=1000)])
    clock.advance(2)
    await store.add(QUEUE, [])
    assert await store.cancel(QUEUE, "head")
    await store.add(QUEUE, [])
    assert [key for key in await redis_storage.keys() if "ready" in key or "priorities" in key] == []


async def test_ages_of_many_groups_and_priorities_take_several_scripts(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """L3: and none is left out."""
    await join(store, 20)
    await store.add(QUEUE, [[NewJob("first", b"1", priority=7)]])
    clock.advance(3)
    await store.add(QUEUE, [[NewJob(str(n), b"1", priority=n % 300) for n in range(900)]])
    async with redis_storage.counting_scripts() as scripts:
        stats = await store.stats(QUEUE)
    assert scripts[0] >= 5
    assert [group.oldest_pending_seconds for group in stats.groups.values()] == [3] * 20


async def test_a_tick_of_one_among_many_looks_at_all_groups_once_a_second(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """Each of a thousand workers ticks every second."""
    epoch = await join(store, 200)
    await store.add(QUEUE, [numbered(1)])
    clock.advance(2)
    assert (await store.tick(epoch)).pending == 200
    async with Redis.from_url(redis_storage.driver_url) as client:
        before = await client.info("stats")
        for _ in range(10):
            assert (await store.tick(epoch)).pending == 200
        after = await client.info("stats")
    assert after["total_commands_processed"] - before["total_commands_processed"] < 1000
    await store.add(QUEUE, [[NewJob("another", b"1")]])
    clock.advance(1)
    assert (await store.tick(epoch)).pending == 400


async def test_large_payloads_of_lapsed_claims_come_in_several_answers(
    store: RedisStore, clock: TravellingClock
) -> None:
    """G7: a dead worker's hundreds of megabytes would outlast the patience of who takes them over."""
    dead = await store.join(QUEUE, "dead", [GroupJoin("g")], LEASE)
    worker = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    large = b'"%b"' % (b"x" * 1_000_000)
    for number in range(12):
        await store.add(QUEUE, [[NewJob(str(number), large)]])
    await store.exchange(dead, "g", 1, [], 12)
    for _ in range(4):
        clock.advance(LEASE / 3000)
        await store.heartbeat(worker)
    tick, taken = await store.tick(worker), []
    while tick.lapsed:
        assert sum(len(lapse.claim.data) for lapse in tick.lapsed) < 6_000_000
        taken += [lapse.claim.job_id for lapse in tick.lapsed]
        settled = [LapseSettlement(lapse.group, Done(lapse.claim.key)) for lapse in tick.lapsed]
        assert tick.more or len(taken) == 12
        tick = await store.tick(worker, settled)
    assert taken == [str(number) for number in range(12)]
