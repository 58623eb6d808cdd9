"""A slot of a cluster that moves to another node, key by key, while its queue is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import Done, GroupJoin, NewJob
from checkmate_queue.testing.waiting import wait_until
from tests.servers.debian import find_program
from tests.servers.redis_constellations import Cluster
from tests.servers.redis_process import RedisProcess

pytestmark = pytest.mark.full

QUEUE = "queue"
KEY = f"checkmate:{{{QUEUE}}}:queue"
LEASE = 600_000


@pytest.fixture(params=["valkey", "redis-server"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster of either make."""
    program = None if request.param == "valkey" else find_program(request.param)
    cluster = Cluster(tmp_path, program=program)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.kill()


class Move:
    """Of the queue's slot, from the master that has it to another."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        with cluster.masters[0].client() as client:
            self._slot = client.cluster("KEYSLOT", KEY)
        self._source, self._target = self._ends()

    def _ends(self) -> tuple[RedisProcess, RedisProcess]:
        keeps = {}
        for master in self._cluster.masters:
            with master.client() as client:
                keeps[master] = client.cluster("COUNTKEYSINSLOT", self._slot)
        source = max(keeps, key=lambda master: keeps[master])
        return source, next(master for master in keeps if master is not source)

    def begin(self) -> None:
        """Tell both."""
        with self._source.client() as source, self._target.client() as target:
            target.cluster("SETSLOT", self._slot, "IMPORTING", source.cluster("MYID"))
            source.cluster("SETSLOT", self._slot, "MIGRATING", target.cluster("MYID"))

    def take(self, *keys: str) -> None:
        """Move these keys, or all."""
        with self._source.client() as source:
            for key in keys or source.cluster("GETKEYSINSLOT", self._slot, 1000):
                source.execute_command("MIGRATE", "127.0.0.1", self._target.port, key, 0, 5000)

    def end(self) -> None:
        """The target has the slot."""
        with self._target.client() as target:
            number = target.cluster("MYID")
            target.cluster("SETSLOT", self._slot, "NODE", number)
        for master in self._cluster.masters:
            with master.client() as client:
                client.cluster("SETSLOT", self._slot, "NODE", number)

    async def is_refused(self) -> None:
        """Wait until a node has said that it does not have all keys."""
        await wait_until(self._count_refusals, description="a call is refused")

    def _count_refusals(self) -> int:
        refusals = 0
        for server in (self._source, self._target):
            with server.client() as client:
                errors = client.info("errorstats")
            refusals += int(errors.get("errorstat_TRYAGAIN", {"count": 0})["count"])
        return refusals


async def test_no_verb_works_on_half_a_queue(cluster: Cluster) -> None:
    """L2: callers wait until the slot has arrived; nothing is taken for empty, and nobody loses a lease."""
    store = RedisStore(cluster.url, patience_ms=60_000)
    await store.open()
    await store.register(QUEUE)
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    await store.add(QUEUE, [[NewJob(f"before-{number}", b"1") for number in range(5)]])
    move = Move(cluster)
    move.begin()
    move.take(KEY)
    calls = (
        asyncio.create_task(store.heartbeat(epoch)),
        asyncio.create_task(store.exchange(epoch, "g", 1, [], 10)),
        asyncio.create_task(store.stats(QUEUE)),
    )
    await move.is_refused()
    assert not any(call.done() for call in calls)
    move.take()
    move.end()
    _, answer, stats = await asyncio.gather(*calls)
    assert [claim.job_id for claim in answer.claims] == [f"before-{number}" for number in range(5)]
    assert stats.pending + stats.processing == 5
    await store.add(QUEUE, [[NewJob("after", b"1")]])
    answer = await store.exchange(epoch, "g", 2, [Done(claim.key) for claim in answer.claims], 10)
    assert [claim.job_id for claim in answer.claims] == ["after"]
    await store.close()
