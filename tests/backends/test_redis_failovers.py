"""Another server takes over, behind Sentinels and in a cluster: work goes on by itself (L2, G7).

Replication is asynchronous: what the old master answered last, the new one may never have heard of. Then only
that may be lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers.redis_constellations import Cluster, Guarded
from tests.servers.redis_process import RedisProcess
from tests.servers.traffic import Traffic

pytestmark = pytest.mark.full
QUEUES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """A master and a replica behind Sentinels."""
    guarded = Guarded(tmp_path)
    try:
        await guarded.start()
        yield guarded
    finally:
        guarded.kill()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three masters with a replica each."""
    cluster = Cluster(tmp_path)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.kill()


async def goes_on(traffic: Traffic, before: int) -> None:
    """Jobs flow in every queue; nothing is lost but what was accepted after the first so many."""
    for _ in range(4):
        await traffic.flow()
    after = len(traffic.accepted)
    numbers = await traffic.settle()
    assert {job.rpartition("-")[0] for job in traffic.accepted[after:]} <= set(traffic.queues)
    print(f"lost: {len(traffic.lost)} of {len(traffic.accepted)}, refused: {len(traffic.refusals)}")
    assert set(traffic.lost) <= set(traffic.accepted[before:after])
    assert sum(stats.failed for stats in numbers) == 0


async def test_sentinels_promote_another_server_while_the_master_lives(guarded: Guarded) -> None:
    async with Traffic(guarded.url) as traffic:
        before, old = len(traffic.accepted), guarded.master()
        guarded.fail_over()
        await guarded.failed_over_from(old)
        await goes_on(traffic, before)
    assert old.role() == "slave"


async def test_sentinels_promote_another_server_when_the_master_dies(guarded: Guarded) -> None:
    async with Traffic(guarded.url) as traffic:
        before, old = len(traffic.accepted), guarded.master()
        old.kill()
        await guarded.failed_over_from(old)
        await goes_on(traffic, before)
    assert traffic.refusals


async def test_a_cluster_loses_a_master(cluster: Cluster) -> None:
    async with Traffic(cluster.url, QUEUES) as traffic:
        assert all(keys(master) > 0 for master in cluster.masters), "the queues are not on every master"
        before = len(traffic.accepted)
        cluster.masters[1].kill()
        await cluster.failed_over_to(cluster.replicas[1])
        await goes_on(traffic, before)
    assert traffic.refusals


async def test_a_cluster_hands_a_master_s_slots_over(cluster: Cluster) -> None:
    """Both masters agree on what was written, so that nothing is lost at all."""
    async with Traffic(cluster.url, QUEUES) as traffic:
        with cluster.replicas[2].client() as client:
            client.cluster("FAILOVER")
        await cluster.failed_over_to(cluster.replicas[2])
        await goes_on(traffic, len(traffic.accepted))
    assert traffic.lost == []


def keys(server: RedisProcess) -> int:
    """How many it has."""
    with server.client() as client:
        return int(client.dbsize())
