"""What is left on a Redis server once all work is done: nothing but the queues, and what failed."""

from __future__ import annotations

import re

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import Done, Epoch, GroupJoin, LapseSettlement, StoreLimits
from checkmate_queue.store import FencedError
from checkmate_queue.testing.clock import START, TravellingClock
from tests.servers.redis_storage import RedisStorage

_LEASE = 30_000
_YEARS = 1000 * 365 * 86_400_000
_KEPT = re.compile(
    r"\{\*\}:(format|queues|successor|settings|reception|generation)|\{.*\}:(queue|failed|failed_order|failed_ids)"
)


async def leaks(storage: RedisStorage) -> list[str]:
    """Do all work in all queues that are not fenced, much later; the keys that nothing explains then."""
    clock = TravellingClock(START + _YEARS)
    store = await storage.connect(clock, StoreLimits())
    await store.open()
    fenced = []
    for queue in await store.queues():
        try:
            await store.set_paused(queue, False)
        except FencedError:
            fenced.append(store._connection.keys.queue(queue).removeprefix(f"{storage.prefix}:")[:-5])
            continue
        await _finish(store, queue)
    await store.close()
    return [
        key
        for key in await storage.keys()
        if not _KEPT.fullmatch(key) and not any(key.startswith(queue) for queue in fenced)
    ]


async def _finish(store: RedisStore, queue: str) -> None:
    for schedule in await store.schedules(queue, limit=1_000_000):
        await store.drop_schedule(queue, schedule.spec.id)
    joins = [GroupJoin(group.name, group.ephemeral) for group in await store.groups(queue)]
    joins = joins or [GroupJoin("the last one")]
    epoch = await store.join(queue, "the last one", joins, _LEASE)
    await _take_over(store, epoch)
    for join in joins:
        await _drain(store, epoch, join.name)
    await store.leave(epoch, [join.name for join in joins], unregister=True)
    await store.add(queue, [])


async def _take_over(store: RedisStore, epoch: Epoch) -> None:
    for worker in await store.workers(epoch.queue):
        if worker.epoch != epoch.number:
            await store.leave(Epoch(epoch.queue, worker.epoch), worker.groups)
    tick = await store.tick(epoch)
    while tick.more or tick.lapsed:
        settled = [LapseSettlement(lapse.group, Done(lapse.claim.key)) for lapse in tick.lapsed]
        tick = await store.tick(epoch, settled)


async def _drain(store: RedisStore, epoch: Epoch, group: str) -> None:
    answer = await store.exchange(epoch, group, 1, [], 500)
    n = 1
    while answer.claims:
        n += 1
        answer = await store.exchange(epoch, group, n, [Done(claim.key) for claim in answer.claims], 500)
