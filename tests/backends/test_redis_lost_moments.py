"""A server that comes back without its last moments: what it forgot is lost, and nothing else goes wrong.

So does a failover, which this stands for: a snapshot, a kill, and a start from the snapshot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import Done, GroupJoin, NewJob
from checkmate_queue.store import LeaseLostError
from tests.servers.redis_process import RedisProcess
from tests.servers.traffic import Traffic

QUEUE = "queue"
LEASE = 30_000


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisProcess]:
    """A server that keeps what it is told to save, and nothing else."""
    server = RedisProcess(tmp_path / "server")
    await server.start()
    yield server
    server.kill()


def snapshot(server: RedisProcess) -> None:
    """What there is now is what it will start with."""
    with server.client() as client:
        client.save()


async def go_back(server: RedisProcess) -> None:
    """To the snapshot."""
    server.kill()
    await server.start()


async def add(store: RedisStore, *ids: str) -> None:
    """Jobs that all groups get."""
    await store.add(QUEUE, [[NewJob(job_id, b"{}") for job_id in ids]])


async def test_a_worker_whose_exchange_was_forgotten_has_lost_its_lease(server: RedisProcess) -> None:
    """G8: its claims may have other owners by now, and their keys other jobs."""
    store = RedisStore(server.url)
    await store.open()
    await store.register(QUEUE)
    epoch = await store.join(QUEUE, "worker", [GroupJoin("g")], LEASE)
    await add(store, "kept")
    snapshot(server)
    await add(store, "forgotten")
    claims = (await store.exchange(epoch, "g", 1, [], 2)).claims
    assert [claim.job_id for claim in claims] == ["kept", "forgotten"]
    await go_back(server)
    await add(store, "new")
    with pytest.raises(LeaseLostError):
        await store.exchange(epoch, "g", 2, [Done(claim.key) for claim in claims], 0)
    again = await store.join(QUEUE, "another life", [GroupJoin("g")], LEASE)
    claims = (await store.exchange(again, "g", 1, [], 3)).claims
    assert [claim.job_id for claim in claims] == ["kept", "new"]
    await store.close()


async def test_an_epoch_that_was_forgotten_is_nobody_else_s(server: RedisProcess) -> None:
    """G8: the next worker to join gets another number."""
    store = RedisStore(server.url)
    await store.open()
    await store.register(QUEUE)
    snapshot(server)
    forgotten = await store.join(QUEUE, "first", [GroupJoin("g")], LEASE)
    await go_back(server)
    assert await store.join(QUEUE, "second", [GroupJoin("g")], LEASE) != forgotten
    with pytest.raises(LeaseLostError):
        await store.exchange(forgotten, "g", 1, [], 1)
    await store.close()


async def test_work_goes_on_after_the_last_moments_were_lost(server: RedisProcess) -> None:
    async with Traffic(server.url) as traffic:
        before = len(traffic.accepted)
        snapshot(server)
        await traffic.flow()
        server.kill()
        await traffic.refused()
        after = len(traffic.accepted)
        await server.start()
        await traffic.flow()
        (stats,) = await traffic.settle()
        assert set(traffic.lost) <= set(traffic.accepted[before:after])
        assert stats.failed == 0
