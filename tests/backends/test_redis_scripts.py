"""What only the Redis backend can get wrong: lost scripts, steps that are too long, alien storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.errors import BackendUnavailableError, ConfigError
from checkmate_queue.core.model import (
    Claim,
    Done,
    Epoch,
    Fail,
    Failure,
    GiveBack,
    GroupJoin,
    NewJob,
    RetryLater,
)
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from tests.servers.redis_storage import RedisStorage
    from tests.servers.valkey import Serve

pytest_plugins = ["tests.backends.redis_desk"]

QUEUE = "queue"
LEASE = 30_000
MANY = 5000


@pytest.fixture
async def client(redis_storage: RedisStorage) -> AsyncIterator[Redis]:
    """A client of its own on the server."""
    async with Redis.from_url(redis_storage.driver_url) as client:
        yield client


def numbered(amount: int, delay_ms: int = 0, expires_ms: int | None = None) -> list[NewJob]:
    """Jobs with the ids 0, 1, 2 …"""
    return [NewJob(str(number), b"1", 0, b"", delay_ms, expires_ms) for number in range(amount)]


async def add(store: RedisStore, jobs: list[NewJob]) -> None:
    """Add many jobs in batches."""
    for start in range(0, len(jobs), 1000):
        await store.add(QUEUE, [jobs[start : start + 1000]])


async def drain(store: RedisStore, epoch: Epoch, group: str, start: int = 1) -> list[str]:
    """Claim and complete all; returns the ids in starting order."""
    ids: list[str] = []
    claims = (await store.exchange(epoch, group, start, [], 500)).claims
    while claims:
        ids += [claim.job_id for claim in claims]
        start += 1
        claims = (
            await store.exchange(epoch, group, start, [Done(claim.key) for claim in claims], 500)
        ).claims
    return ids


# -- loading -------------------------------------------------------------------------------------


async def test_scripts_that_the_server_forgot_are_loaded_again(store: RedisStore, client: Redis) -> None:
    """A restart or SCRIPT FLUSH forgets them."""
    await client.script_flush()
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    await client.script_flush()
    await store.add(QUEUE, [numbered(1)])
    await client.script_flush()
    (claim,) = (await store.exchange(epoch, "g", 1, [], 1)).claims
    await client.script_flush()
    assert (await store.exchange(epoch, "g", 2, [Done(claim.key)], 1)).refused == []
    await client.script_flush()
    await store.heartbeat(epoch)
    await client.script_flush()
    assert (await store.tick(epoch)).pending == 0


# -- bounded steps -------------------------------------------------------------------------------


async def test_promotion_of_many_takes_several_scripts_and_keeps_order(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """J5"""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    later_first = [NewJob(str(number), b"1", delay_ms=1000 + (MANY - number) // 10) for number in range(MANY)]
    await add(store, later_first)
    clock.advance(10)
    async with redis_storage.counting_scripts() as scripts:
        claims = (await store.exchange(epoch, "g", 1, [], 10)).claims
    assert scripts[0] >= MANY // 1000
    rest = await drain(store, epoch, "g", 2)
    by_due = sorted(later_first, key=lambda job: (job.delay_ms, int(job.id)))
    assert [claim.job_id for claim in claims] + rest == [job.id for job in by_due]


async def test_promotion_to_many_groups_counts_every_delivery(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """G1: a step is bounded by deliveries, not by jobs."""
    groups = [GroupJoin(f"g{number}") for number in range(50)]
    epoch = await store.join(QUEUE, "w", groups, LEASE)
    await add(store, numbered(100, delay_ms=1000))
    clock.advance(1)
    async with redis_storage.counting_scripts() as scripts:
        tick = await store.tick(epoch)
    assert scripts[0] >= 5
    assert (tick.readied, tick.pending) == (5000, 5000)


async def test_many_unclaimed_jobs_are_handed_over_in_steps(
    store: RedisStore, redis_storage: RedisStorage
) -> None:
    """G2"""
    await add(store, numbered(MANY))
    async with redis_storage.counting_scripts() as scripts:
        epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    assert scripts[0] >= MANY // 1000
    await store.add(QUEUE, [[NewJob("last", b"1")]])
    assert await drain(store, epoch, "g") == [*(str(number) for number in range(MANY)), "last"]


async def test_what_a_killed_process_left_undone_is_done_by_the_next(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """G7: a join that was cut off after its first step."""
    await add(store, numbered(MANY))
    answers = await one_step(store, "join", "w", LEASE, "g", 0, "now", 3)
    assert answers == [b"again"]
    other = await redis_storage.connect(clock)
    await other.open()
    (added,) = await other.add(QUEUE, [[NewJob("0", b"1"), NewJob("last", b"1")]])
    assert isinstance(added, list)
    assert [job.created for job in added] == [False, True]
    epoch = await other.join(QUEUE, "v", [GroupJoin("g")], LEASE)
    assert await drain(other, epoch, "g") == [*(str(number) for number in range(MANY)), "last"]
    await other.close()


async def one_step(store: RedisStore, script: str, *arguments: str | int) -> list[object]:
    """Run a script once, where a verb would go on."""
    connection = store._connection
    common = (TravellingClock()(), 1000, 10**9)
    return await connection.evaluate(script, [connection.keys.queue(QUEUE)], *common, *arguments)


async def test_group_that_starts_from_the_earliest_is_filled_in_steps(
    store: RedisStore, redis_storage: RedisStorage
) -> None:
    """G3: in the order of the jobs, and before what came since."""
    await store.join(QUEUE, "w", [GroupJoin("old")], LEASE)
    await add(store, numbered(MANY))
    async with redis_storage.counting_scripts() as scripts:
        epoch = await store.join(QUEUE, "w", [GroupJoin("new", start_from="earliest")], LEASE)
    assert scripts[0] >= 2 * MANY // 1000
    await store.add(QUEUE, [[NewJob("last", b"1")]])
    expected = [*(str(number) for number in range(MANY)), "last"]
    assert await drain(store, epoch, "new") == expected
    assert await drain(store, epoch, "old") == expected


async def test_start_from_the_earliest_leaves_out_what_has_expired(
    store: RedisStore, clock: TravellingClock
) -> None:
    """J9: a job that lives only where it was claimed in time makes no new delivery."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("old")], LEASE)
    await store.add(QUEUE, [numbered(1, expires_ms=1000)])
    (claim,) = (await store.exchange(epoch, "old", 1, [], 1)).claims
    clock.advance(2)
    await store.join(QUEUE, "w", [GroupJoin("new", start_from="earliest")], LEASE)
    assert (await store.exchange(epoch, "new", 1, [], 1)).claims == []
    assert (await store.exchange(epoch, "old", 2, [Done(claim.key)], 1)).refused == []


async def test_dropped_group_is_cleared_in_steps(store: RedisStore, redis_storage: RedisStorage) -> None:
    """G4: and the ids are free at once, whoever asks first."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g"), GroupJoin("other")], LEASE)
    await add(store, numbered(MANY))
    assert len(await drain(store, epoch, "other")) == MANY
    answers = await one_step(store, "leave", epoch.number, 1, "g")
    assert answers == [b"again"]
    async with redis_storage.counting_scripts() as scripts:
        (added,) = await store.add(QUEUE, [[NewJob(str(MANY - 1), b"1")]])
    assert scripts[0] >= MANY // 1000 - 1
    assert isinstance(added, list)
    assert added[0].created
    assert [key for key in await redis_storage.keys() if "group:1" in key] == []


async def test_claim_passes_over_many_numbers_that_stand_for_nothing(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """J9: those that expired behind one that did not, in several steps that are one exchange."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    await store.add(QUEUE, [[NewJob("first", b"1")]])
    await add(store, numbered(MANY, expires_ms=1000))
    await store.add(QUEUE, [[NewJob("last", b"1")]])
    clock.advance(2)
    await store.heartbeat(epoch)
    while (await store.tick(epoch)).more:
        pass
    async with redis_storage.counting_scripts() as scripts:
        claims = (await store.exchange(epoch, "g", 1, [], 2)).claims
    assert [claim.job_id for claim in claims] == ["first", "last"]
    assert scripts[0] >= MANY // 1000
    assert (await store.exchange(epoch, "g", 1, [], 2)).claims == claims


async def test_one_large_batch_is_atomic(store: RedisStore) -> None:
    """More arguments than Lua can unpack at once."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    (added,) = await store.add(QUEUE, [numbered(20_000)])
    assert isinstance(added, list)
    claims = (await store.exchange(epoch, "g", 1, [], 20_000)).claims
    assert [claim.job_id for claim in claims] == [str(number) for number in range(20_000)]
    assert (await store.exchange(epoch, "g", 2, [Done(claim.key) for claim in claims], 1)).refused == []


# -- many at once --------------------------------------------------------------------------------


async def test_workers_in_several_processes_share_the_work(
    redis_storage: RedisStorage, store: RedisStore
) -> None:
    """G1, G7: whatever they do at the same time, every delivery is completed once, and nothing is left."""
    stores = [await redis_storage.connect() for _ in range(4)]
    for other in stores:
        await other.open()
    await store.register(QUEUE)
    keeper = await stores[0].join(QUEUE, "keeper", [GroupJoin("a"), GroupJoin("b")], LEASE)
    producers = [produce(other, number) for number, other in enumerate(stores)]
    workers = [
        work(other, f"w{number}{group}", group) for number, other in enumerate(stores) for group in "ab"
    ]
    done = (await asyncio.gather(*workers, *producers))[: len(workers)]
    for group, results in (("a", done[::2]), ("b", done[1::2])):
        finished = [job_id for result in results for job_id in result]
        assert len(finished) == len(set(finished)), f"group {group} completed a delivery twice"
        assert len(finished) == 4 * PER_PRODUCER
    await stores[0].leave(keeper, ["a", "b"])
    assert await redis_storage.keys() == [
        *("{*}:format", "{*}:queues"),
        *("{queue}:group:1", "{queue}:group:2", "{queue}:groups", "{queue}:queue"),
    ]
    for other in stores:
        await other.close()


PER_PRODUCER = 150


async def produce(store: RedisStore, number: int) -> list[str]:
    """Add jobs of several priorities, some of them delayed."""
    for start in range(0, PER_PRODUCER, 10):
        units = [
            [NewJob(f"{number}-{start + at}", b"1", priority=at % 3, delay_ms=at % 2)] for at in range(10)
        ]
        await store.add(QUEUE, units)
    return []


async def work(store: RedisStore, name: str, group: str) -> list[str]:
    """Take part until the group has had everything; complete most, retry or give back some."""
    epoch = await store.join(QUEUE, name, [GroupJoin(group)], LEASE)
    done: list[str] = []
    claims: list[Claim] = []
    idle = n = 0
    while idle < 20:
        n += 1
        settlements = [settle(claim, n) for claim in claims]
        done += [
            claim.job_id
            for claim, settled in zip(claims, settlements, strict=True)
            if isinstance(settled, Done)
        ]
        answer = await store.exchange(epoch, group, n, settlements, 7)
        assert answer.refused == []
        claims = answer.claims
        idle = 0 if claims or answer.next_at else idle + 1
    await store.leave(epoch, [group])
    return done


def settle(claim: Claim, n: int) -> Done | RetryLater | GiveBack:
    """Mostly done."""
    match (claim.key + n) % 10:
        case 0:
            return RetryLater(claim.key, 1)
        case 1:
            return GiveBack(claim.key)
        case _:
            return Done(claim.key)


# -- storage and server --------------------------------------------------------------------------


async def test_newer_or_alien_storage_is_refused(redis_storage: RedisStorage, client: Redis) -> None:
    """U1: by the format that is stored."""
    for stored in ("2", "not ours"):
        await client.set(f"{redis_storage.prefix}:{{*}}:format", stored)
        store = await redis_storage.connect()
        with pytest.raises(ConfigError, match="reads up to 1"):
            await store.open()
        await store.close()


@pytest.mark.parametrize("where", ["jobs", "payloads"])
@pytest.mark.parametrize("damage", [b"", b"\x01", b"\xff" * 60])
async def test_damaged_record_is_claimed_and_can_be_failed(
    store: RedisStore, redis_storage: RedisStorage, client: Redis, where: str, damage: bytes
) -> None:
    """X3: it says that it can't be read, and does not stop the others."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    large = b'"%b"' % (b"x" * 300)  # so that it lies apart from the record
    await store.add(QUEUE, [[NewJob("0", large), NewJob("1", large)]])
    await client.hset(f"{redis_storage.prefix}:{{queue}}:{where}", "1", damage)
    damaged, sound = (await store.exchange(epoch, "g", 1, [], 2)).claims
    assert (damaged.record_format, sound.record_format) == (0, 1)
    failed = Fail(damaged.key, Failure("payload", "can't be read"))
    assert (await store.exchange(epoch, "g", 2, [failed, Done(sound.key)], 1)).refused == []
    assert await client.hlen(f"{redis_storage.prefix}:{{queue}}:jobs") == 0


async def test_absent_server_is_reported_after_the_patience(tmp_path: Path) -> None:
    """L2"""
    store = RedisStore(f"redis+unix://{tmp_path}/nobody.sock", patience_ms=100)
    with pytest.raises(BackendUnavailableError, match="Redis can't be used"):
        await store.open()
    await store.close()


async def test_server_that_comes_in_time_is_waited_for(tmp_path: Path, serve: Serve) -> None:
    """L2: callers notice no more than a pause."""
    store = RedisStore(f"redis+unix://{tmp_path}/valkey.sock", patience_ms=20_000)
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    server = serve(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        await opening
        await store.register(QUEUE)
        epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
        await store.heartbeat(epoch)
        await store.close()
    finally:
        server.stop()
