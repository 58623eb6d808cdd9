"""Another server takes over, behind Sentinels and in a cluster: work goes on by itself (L2, G7).

Replication is asynchronous: what the old master answered last, the new one may never have heard of. Then only
that may be lost. How much it was is printed (`pytest -s`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checkmate_queue.testing.waiting import wait_until
from tests.servers.debian import find_program
from tests.servers.redis_constellations import Cluster, Guarded
from tests.servers.redis_process import RedisProcess
from tests.servers.traffic import Traffic

pytestmark = [
    pytest.mark.full,
    # redis-py leaves connections to the collector that it made to learn of a cluster's new shape
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
QUEUES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
CAREFUL = ("--min-replicas-to-write", "1")


@pytest.fixture(params=["valkey", "redis-server"])
def program(request: pytest.FixtureRequest) -> str | None:
    """What the servers run."""
    return None if request.param == "valkey" else find_program(request.param)


@pytest.fixture
async def cluster(program: str | None, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three masters with a replica each."""
    cluster = Cluster(tmp_path, program=program)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
async def guarded(
    request: pytest.FixtureRequest, program: str | None, tmp_path: Path
) -> AsyncIterator[Guarded]:
    """A master and a replica behind Sentinels; with the options that the test names."""
    guarded = Guarded(tmp_path, *getattr(request, "param", ()), program=program)
    try:
        await guarded.start()
        yield guarded
    finally:
        guarded.kill()


async def goes_on(traffic: Traffic, before: int) -> None:
    """Jobs flow; nothing is lost but what was accepted after the first so many, until now."""
    after = len(traffic.accepted)
    for _ in range(4):
        await traffic.flow()
    numbers = await traffic.settle()
    print(f"lost: {len(traffic.lost)} of {len(traffic.accepted)}, refused: {len(traffic.refusals)}")
    assert set(traffic.lost) <= set(traffic.accepted[before:after])
    assert sum(stats.failed for stats in numbers) == 0


@pytest.mark.parametrize("guarded", [(), CAREFUL], ids=["careless", "careful"], indirect=True)
async def test_sentinels_promote_another_server_while_the_master_lives(guarded: Guarded) -> None:
    async with Traffic(guarded.url) as traffic:
        before, old = len(traffic.accepted), guarded.master()
        guarded.fail_over()
        await guarded.failed_over_from(old)
        await goes_on(traffic, before)


async def test_sentinels_promote_another_server_when_the_master_dies(guarded: Guarded) -> None:
    async with Traffic(guarded.url) as traffic:
        before, old = len(traffic.accepted), guarded.master()
        old.kill()
        await guarded.failed_over_from(old)
        await goes_on(traffic, before)
    assert traffic.refusals


async def test_sentinels_promote_another_server_while_the_master_hangs(guarded: Guarded) -> None:
    """What it finds in its sockets when it wakes was never answered, and done by the new one meanwhile."""
    async with Traffic(guarded.url) as traffic:
        before, old = len(traffic.accepted), guarded.master()
        os.kill(old.pid, signal.SIGSTOP)
        try:
            await wait_until(lambda: guarded.master() is not old, description="another master", timeout=60)
            await traffic.flow()
        finally:
            os.kill(old.pid, signal.SIGCONT)
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
        await cluster.hand_over_to(cluster.replicas[2])
        await goes_on(traffic, len(traffic.accepted))
    assert traffic.lost == []


def keys(server: RedisProcess) -> int:
    """How many it has."""
    with server.client() as client:
        return int(client.dbsize())
