"""What the Redis backend keeps: nothing of what has ended, and all of a queue in one slot of a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ClusterDownError

from checkmate_queue.backends.redis.keys import Keyspace
from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import (
    Done,
    Epoch,
    Fail,
    Failure,
    Firing,
    GiveBack,
    GroupJoin,
    LapseSettlement,
    NewJob,
    NewSchedule,
    RetryLater,
    Settlement,
    StoreLimits,
)
from checkmate_queue.store import LeaseLostError
from checkmate_queue.testing.clock import START, TravellingClock
from checkmate_queue.testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.servers.redis_storage import RedisStorage
    from tests.servers.valkey import Serve

pytest_plugins = ["tests.servers.valkey"]

LEASE = 30_000
REGISTRY = ["{*}:format", "{*}:queues"]
REST = ["{queue}:group:1", "{queue}:groups", "{queue}:queue"]
"""What a queue that has one durable group keeps when it is empty and nobody works."""


@pytest.fixture
def clock() -> TravellingClock:
    """The engine's clock."""
    return TravellingClock()


@pytest.fixture
async def store(redis_storage: RedisStorage, clock: TravellingClock) -> AsyncIterator[RedisStore]:
    """An open store that keeps no failed entries."""
    store = await redis_storage.connect(clock, StoreLimits(failed_retention_count=0))
    await store.open()
    await store.register("queue")
    yield store
    await store.close()


async def through_everything(store: RedisStore, clock: TravellingClock, queue: str) -> None:
    """Let jobs and deliveries take every way there is, to their end; workers come, die and leave."""
    group, ephemeral = GroupJoin("g"), GroupJoin("e", ephemeral=True)
    await store.add(queue, [[NewJob("unclaimed", b"1"), NewJob("dropped", b"1", unclaimed="drop")]])
    first = await store.join(queue, "first", [group], LEASE)
    second = await store.join(queue, "second", [group, ephemeral], LEASE)
    await store.add(queue, [[NewJob("low", b"1", priority=-5), NewJob("high", b"1", priority=2**31 - 1)]])
    await store.add(queue, [[NewJob("delayed", b"1", delay_ms=1000), NewJob("gone", b"1", expires_ms=500)]])
    await store.put_schedule(queue, schedule("s"))
    assert await store.fire(queue, [Firing("s", 1, START, START + 60_000, (START,))]) == [True]
    clock.advance(1)
    claims = {claim.job_id: claim for claim in (await store.exchange(first, "g", 1, [], 100)).claims}
    assert list(claims) == ["high", "unclaimed", f"s:{START}", "delayed", "low"]
    settlements: list[Settlement] = [
        GiveBack(claims["unclaimed"].key),
        RetryLater(claims["delayed"].key, 1000),
        Fail(claims["low"].key, Failure("Error", "message")),
        Done(claims[f"s:{START}"].key),
    ]
    await store.exchange(first, "g", 2, settlements, 0)
    await let_die(store, clock, second, keeper=first)
    claims = {claim.job_id: claim for claim in (await store.exchange(first, "g", 3, [], 100)).claims}
    assert list(claims) == ["unclaimed", "delayed"]
    heir = await store.join(queue, "heir", [group], LEASE)
    await let_die(store, clock, first, keeper=heir)
    lapsed = (await store.tick(heir)).lapsed
    assert [lapse.claim.job_id for lapse in lapsed] == ["high", "unclaimed", "delayed"]
    settled = [LapseSettlement(lapse.group, Done(lapse.claim.key)) for lapse in lapsed]
    assert (await store.tick(heir, settled)).lapsed == []
    await store.leave(heir, ["g"])


async def let_die(store: RedisStore, clock: TravellingClock, dead: Epoch, keeper: Epoch) -> None:
    """Let a lease run out while another worker keeps the queue in contact."""
    for _ in range(4):
        clock.advance(10)
        await store.heartbeat(keeper)
    with pytest.raises(LeaseLostError):
        await store.heartbeat(dead)
    assert not (await store.tick(keeper)).more


def schedule(schedule_id: str) -> NewSchedule:
    """A schedule that is due at once."""
    return NewSchedule(schedule_id, b"1", "definition", "timing", START)


async def test_what_has_ended_leaves_no_key(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """Finished jobs, gone groups, dead workers: only the schedule and the durable group are left."""
    await through_everything(store, clock, "queue")
    assert await redis_storage.keys() == [
        *REGISTRY,
        *REST,
        *("{queue}:schedule:s", "{queue}:schedules", "{queue}:schedules_due"),
    ]


async def test_dropped_group_leaves_no_key(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """G4: with deliveries in every state: ready, at the front, claimed, waiting for a retry, half filled."""
    keeper = await store.join("queue", "keeper", [GroupJoin("g")], LEASE)
    ephemeral = GroupJoin("e", ephemeral=True, start_from="earliest")
    await store.add("queue", [[NewJob(name, b"1") for name in ("front", "retry", "claimed", "ready")]])
    epoch = await store.join("queue", "w", [ephemeral], LEASE)
    front, retry, _ = (await store.exchange(epoch, "e", 1, [], 3)).claims
    await store.exchange(epoch, "e", 2, [GiveBack(front.key), RetryLater(retry.key, 10**9)], 0)
    await let_die(store, clock, epoch, keeper)
    claims = (await store.exchange(keeper, "g", 1, [], 10)).claims
    assert [claim.job_id for claim in claims] == ["front", "retry", "claimed", "ready"]
    await store.exchange(keeper, "g", 2, [Done(claim.key) for claim in claims], 0)
    await store.leave(keeper, ["g"])
    assert await redis_storage.keys() == [*REGISTRY, *REST]


async def test_expired_jobs_of_an_absent_group_leave_no_numbers(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock
) -> None:
    """J9: announcements that nobody comes for don't pile up, whoever sweeps."""
    absent = await store.join("queue", "w", [GroupJoin("g")], LEASE)
    await store.leave(absent, ["g"])
    for _ in range(3):
        await store.add("queue", [[NewJob(str(number), b"1", expires_ms=500) for number in range(100)]])
        clock.advance(1)
    await store.add("queue", [])
    assert await redis_storage.keys() == [*REGISTRY, *REST]


async def test_replaced_schedule_leaves_nothing_of_its_waiting_jobs(
    store: RedisStore, redis_storage: RedisStorage
) -> None:
    """R4: those that were never claimed go; a running one goes when it is done."""
    epoch = await store.join("queue", "w", [GroupJoin("g")], LEASE)
    await store.put_schedule("queue", schedule("s"))
    await store.fire("queue", [Firing("s", 1, START, START + 1, (START,))])
    (running,) = (await store.exchange(epoch, "g", 1, [], 1)).claims
    await store.fire("queue", [Firing("s", 1, START + 1, START + 2, (START + 1,))])
    replaced = await store.put_schedule("queue", replace(schedule("s"), definition="another"))
    assert replaced.revision == 2
    assert (await store.exchange(epoch, "g", 2, [Done(running.key)], 1)).claims == []
    await store.leave(epoch, ["g"])
    assert await redis_storage.keys() == [
        *REGISTRY,
        *REST,
        *("{queue}:schedule:s", "{queue}:schedules", "{queue}:schedules_due"),
    ]


async def test_job_whose_other_deliveries_were_ended_goes_to_a_group_from_the_earliest(
    store: RedisStore, redis_storage: RedisStorage
) -> None:
    """G3, R4: what still runs of a replaced schedule; and it ends with the next replacement."""
    epoch = await store.join("queue", "w", [GroupJoin("g"), GroupJoin("e", ephemeral=True)], LEASE)
    await store.put_schedule("queue", schedule("s"))
    await store.fire("queue", [Firing("s", 1, START, START + 1, (START,))])
    (running,) = (await store.exchange(epoch, "g", 1, [], 1)).claims
    await store.put_schedule("queue", replace(schedule("s"), definition="another"))
    assert (await store.exchange(epoch, "e", 1, [], 1)).claims == []
    for n, name in enumerate(("first", "second")):
        late = await store.join("queue", name, [GroupJoin(name, True, "earliest")], LEASE)
        assert (await store.tick(late)).pending == 1
        await store.put_schedule("queue", replace(schedule("s"), definition=f"third {n}"))
        assert (await store.tick(late)).pending == 0
        assert (await store.exchange(late, name, 1, [], 1)).claims == []
    late = await store.join("queue", "third", [GroupJoin("third", True, "earliest")], LEASE)
    (claim,) = (await store.exchange(late, "third", 1, [], 1)).claims
    assert claim == running
    await store.exchange(late, "third", 2, [Done(claim.key)], 0)
    await store.exchange(epoch, "g", 2, [Done(running.key)], 0)
    assert not [key for key in await redis_storage.keys() if "jobs" in key or "deliveries" in key]


@pytest.mark.parametrize("name", ["}", "{", "{}", "a}{b", "*", "{*}", "%7D", "ä:/ €", "queue}:queue"])
async def test_all_keys_of_a_queue_lie_in_one_slot(
    store: RedisStore, redis_storage: RedisStorage, clock: TravellingClock, name: str
) -> None:
    """X1: whatever its name, and none of them in another queue's or the registry's."""
    await store.register(name)
    epoch = await store.join(name, "}{", [GroupJoin("}{")], LEASE)
    await store.add(name, [[NewJob("}{", b"1"), NewJob("{*}", b"1", delay_ms=1, expires_ms=2)]])
    await store.put_schedule(name, schedule("}{"))
    await store.fire(name, [Firing("}{", 1, START, START + 1, (START,))])
    await store.exchange(epoch, "}{", 1, [], 1)
    own = [key for key in await redis_storage.keys() if not key.startswith(("{*}:", "{queue}:"))]
    assert len(own) > 10
    assert len({key_slot(key.encode()) for key in own}) == 1
    assert len({key.partition("}:")[0] for key in own}) == 1


async def test_every_verb_runs_on_a_cluster(tmp_path: Path, serve: Serve, clock: TravellingClock) -> None:
    """On a node that has the slots of two queues and the registry only, and refuses all other keys."""
    prefix = uuid4().hex
    keys = Keyspace(prefix)
    slots = {key_slot(key.encode()) for key in (keys.queues, keys.queue("queue"), keys.queue("}{"))}
    settings = {"cluster-enabled": "yes", "cluster-require-full-coverage": "no"}
    with serve(tmp_path, **settings) as server:
        url = f"unix://{server.unix_socket_path}"
        async with Redis.from_url(url) as client:
            await client.eval("return redis.call('CLUSTER', 'ADDSLOTS', unpack(ARGV))", 0, *slots)
            await wait_until(lambda: is_ready(client, keys.queues), description="the node serves its slots")
            with pytest.raises(ClusterDownError, match="not served"):
                await client.get("another")
        store = RedisStore(
            f"redis+{url}", clock=clock, prefix=prefix, limits=StoreLimits(failed_retention_count=0)
        )
        await store.open()
        for name in ("queue", "}{"):
            await store.register(name)
            await through_everything(store, clock, name)
        await move_out_and_in(store)
        await store.close()


async def move_out_and_in(store: RedisStore) -> None:
    """Through all verbs of a move."""
    await store.fence(None, "elsewhere")
    batches = {}
    for name in await store.queues():
        await store.add(name, [[NewJob("moved", b"1")]])
        await store.fence(name, "elsewhere")
        batches[name], cursor = await store.export(name)
        assert cursor is None
    await store.clear("elsewhere")
    await store.reopen("elsewhere")
    assert await store.receive("token", "back")
    for number, (name, records) in enumerate(batches.items(), 1):
        await store.restore("token", name, number, records)
    await store.admit("token")
    for name in batches:
        epoch = await store.join(name, "w", [GroupJoin("g")], LEASE)
        assert await store.held(epoch) == []
        (claim,) = (await store.exchange(epoch, "g", 1, [], 10)).claims
        assert claim.job_id == "moved"


async def is_ready(client: Redis, key: str) -> bool:
    """Whether the node serves this key."""
    try:
        await client.exists(key)
    except ClusterDownError:
        return False
    return True
