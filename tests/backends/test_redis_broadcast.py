"""A thousand groups of one queue: announcements reach all, and what is gone leaves nothing (G1, G4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import Done, Epoch, Firing, GroupJoin, NewJob, NewSchedule
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from tests.servers.redis_storage import RedisStorage

pytest_plugins = ["tests.backends.redis_desk"]

QUEUE = "news"
GROUPS = 1000
LEASE = 600_000
HOUR = 3_600_000
"""For so long producers leave it to those who tick to find out who is dead."""
MOST_PUSHES = 5_000
"""Above what one script may push."""


async def instances(store: RedisStore, count: int = GROUPS) -> list[Epoch]:
    """Instances of an application, each with a group of its own."""
    return [
        await store.join(QUEUE, f"w{number}", [GroupJoin(f"g{number}", ephemeral=True)], LEASE)
        for number in range(count)
    ]


async def received(store: RedisStore, epoch: Epoch, number: int) -> list[str]:
    claims = (await store.exchange(epoch, f"g{number}", 1, [], 1000)).claims
    await store.exchange(epoch, f"g{number}", 2, [Done(claim.key) for claim in claims], 0)
    return [claim.job_id for claim in claims]


async def produce_on(store: RedisStore, clock: TravellingClock, times: int) -> None:
    """Add jobs until the last lease has run out for an hour, and some more; nobody else does anything."""
    for _ in range((LEASE + HOUR) // (LEASE // 3) + times):
        clock.advance(LEASE / 3000)
        await store.add(QUEUE, [[NewJob("later", b"1", unclaimed="drop")]])


def announcements(count: int) -> list[NewJob]:
    return [NewJob(f"{number}", b"1", priority=number % 3, unclaimed="drop") for number in range(count)]


def in_order(jobs: Sequence[NewJob]) -> list[str]:
    return [job.id for job in sorted(jobs, key=lambda job: -job.priority)]


@pytest.mark.full
async def test_a_thousand_ephemeral_groups(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """G1, G4: each gets each announcement; where only producers run, the dead ones leave nothing."""
    epochs = await instances(store)
    (added,) = await store.add(QUEUE, [announcements(1)])
    assert isinstance(added, list)
    assert (await store.stats(QUEUE)).pending == GROUPS
    jobs = announcements(20)[1:]
    async with redis_storage.counting_scripts() as scripts:
        await store.add(QUEUE, [jobs])
    assert scripts[0] >= GROUPS * len(jobs) // MOST_PUSHES
    assert (await store.stats(QUEUE)).pending == GROUPS * 20
    for number in (0, 500, GROUPS - 1):
        assert await received(store, epochs[number], number) == in_order(announcements(20))
    await produce_on(store, clock, 2 * GROUPS // 100)
    assert (await store.stats(QUEUE)).consumer_groups == 0
    assert await redis_storage.keys() == ["{*}:format", "{*}:queues", "{news}:queue"]


async def test_a_batch_for_many_groups_is_fanned_out_in_steps(
    store: RedisStore, redis_storage: RedisStorage
) -> None:
    """G1: in order, to every group, before the call returns."""
    epochs = await instances(store, 30)
    jobs = announcements(1000)
    async with redis_storage.counting_scripts() as scripts:
        await store.add(QUEUE, [jobs])
    assert scripts[0] >= 30 * len(jobs) // MOST_PUSHES
    assert (await store.stats(QUEUE)).pending == 30_000
    for number, epoch in enumerate(epochs):
        assert await received(store, epoch, number) == in_order(jobs)
    assert [key for key in await redis_storage.keys() if "fan" in key or "jobs" in key] == []


async def test_what_a_killed_producer_left_undone_is_done_by_the_next(store: RedisStore) -> None:
    """G1: a fan-out that was cut off after its first step."""
    epochs = await instances(store, 30)
    connection = store._connection
    jobs = [value for job in announcements(1000) for value in (job.id, f"{job.priority},0,,1,", "0:1")]
    common = (connection._clock() if connection._clock else "", 1000, 0)
    word, is_left, _ = await connection.evaluate(
        "add", [connection.keys.queue(QUEUE)], *common, "", 1, 1000, *jobs
    )
    assert (word, is_left) == (b"done", 1)
    assert (await store.stats(QUEUE)).pending < 30_000
    assert await received(store, epochs[29], 29) == in_order(announcements(1000))
    assert (await store.stats(QUEUE)).pending == 29_000


async def test_schedules_fire_to_many_groups_in_steps(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """R3: each firing takes effect once."""
    epochs = await instances(store, 100)
    firings = []
    for number in range(50):
        spec = NewSchedule(f"s{number:02}", b"1", "definition", "timing", clock())
        stored = await store.put_schedule(QUEUE, spec)
        firings.append(Firing(spec.id, stored.revision, clock(), clock() + 1000, (clock(),)))
    async with redis_storage.counting_scripts() as scripts:
        assert await store.fire(QUEUE, firings) == [True] * 50
    assert scripts[0] >= 5
    assert await store.fire(QUEUE, firings) == [False] * 50
    assert len(await received(store, epochs[0], 0)) == 50
    assert (await store.stats(QUEUE)).pending == 99 * 50


async def test_dead_worker_of_a_durable_group_is_left_to_who_comes(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """G7: producers hand nothing on; the claims go to the next worker, each with one stall."""
    joins = [GroupJoin("durable"), GroupJoin("gone", ephemeral=True)]
    dead = await store.join(QUEUE, "dead", joins, LEASE)
    await store.add(QUEUE, [[NewJob("a", b"1"), NewJob("b", b"1")]])
    for group in ("durable", "gone"):
        await store.exchange(dead, group, 1, [], 1)
    await produce_on(store, clock, 3)
    assert [group.name for group in await store.groups(QUEUE)] == ["durable"]
    assert await store.workers(QUEUE) == []
    worker = await store.join(QUEUE, "w", [GroupJoin("durable")], LEASE)
    (lapsed,) = (await store.tick(worker)).lapsed
    assert (lapsed.group, lapsed.claim.job_id, lapsed.claim.stalls) == ("durable", "a", 1)
    assert [key for key in await redis_storage.keys() if f"epoch:{dead.number}" in key] == []


async def test_dead_group_ends_where_producers_come_only_now_and_then(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """G4, G12: each pause of theirs is a gap, which moves leases on, but not those of the dead for ever."""
    await store.join(QUEUE, "dead", [GroupJoin("dead", ephemeral=True)], LEASE)
    living = await store.join(QUEUE, "w", [GroupJoin("alive", ephemeral=True)], LEASE)
    for _ in range(110):
        clock.advance(LEASE / 1000)
        await store.add(QUEUE, [announcements(1)])
        await store.heartbeat(living)
    await store.tick(living)
    assert [group.name for group in await store.groups(QUEUE)] == ["alive"]
    await store.leave(living, ["alive"])
    await store.add(QUEUE, [])
    assert await redis_storage.keys() == ["{*}:format", "{*}:queues", "{news}:queue"]
