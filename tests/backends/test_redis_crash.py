"""Workers die every second, and a server dies among them: what the servers kept is done (G7, L2).

Replication is asynchronous, so a failover may lose what was accepted last. How much it was is printed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from checkmate_queue.testing.waiting import wait_until
from tests.chaos.test_crash import Crew, Production, check, employed, kill_and_replace, settled
from tests.chaos.worker import QUEUE
from tests.servers.redis_constellations import SLOTS, Cluster, Guarded
from tests.servers.redis_process import DURABLE, running

pytestmark = [
    pytest.mark.full,
    # redis-py leaves connections to the collector that it made to learn of a cluster's new shape
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
JOBS = 20_000
SECONDS_BETWEEN = 0.1


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """Its URL comes with the test."""
    crew = Crew("", tmp_path, milliseconds=20)
    yield crew
    crew.end()


async def ordeal(crew: Crew, fault: Callable[[], Awaitable[None]], *, forgetful: bool) -> None:
    """Enqueue all the while, kill a worker every second, and let the fault happen in the middle."""
    production = Production(seconds_between=SECONDS_BETWEEN)
    async with employed(crew) as queue:
        producing = asyncio.create_task(production.run(queue, JOBS))

        async def strike() -> tuple[int, int]:
            await wait_until(
                lambda: len(production.accepted) > JOBS // 4 and crew.killed,
                description="a quarter is accepted",
                timeout=120,
            )
            before = len(production.accepted)
            await fault()
            assert not producing.done(), "the fault came too late to show anything"
            return before, len(production.accepted) + 100

        striking = asyncio.create_task(strike())
        await kill_and_replace(crew, queue, -1, lambda: not (striking.done() and producing.done()))
        await producing
        before, after = await striking
        stats = await settled(queue)
    lost = check(crew, production, forgetful=forgetful)
    print(f"lost: {len(lost)} of {JOBS}, doubtful: {len(production.doubtful)}, kills: {len(crew.killed)}")
    assert lost <= (set(production.accepted[before:after]) if forgetful else set())
    assert (stats.failed, stats.expired, stats.cancelled) == (0, 0, 0)


async def test_nothing_is_lost_with_a_restart_of_the_server(crew: Crew) -> None:
    async with running(*DURABLE) as server:

        async def restart() -> None:
            before = server.pid
            server.kill()
            await server.start()
            assert server.pid != before

        crew.url = server.url
        await ordeal(crew, restart, forgetful=False)


async def test_what_was_kept_is_done_with_a_failover_by_sentinels(crew: Crew, tmp_path: Path) -> None:
    guarded = Guarded(tmp_path)
    try:
        await guarded.start()

        async def lose_the_master() -> None:
            old = guarded.master()
            old.kill()
            await guarded.failed_over_from(old)

        crew.url = guarded.url
        await ordeal(crew, lose_the_master, forgetful=True)
    finally:
        guarded.kill()


async def test_what_was_kept_is_done_with_a_failover_in_a_cluster(crew: Crew, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    try:
        await cluster.start()

        async def lose_the_queue_s_master() -> None:
            with cluster.masters[0].client() as client:
                slot = int(client.cluster("KEYSLOT", f"{{{QUEUE}}}"))
            number = slot // (SLOTS // 3 + 1)
            with cluster.masters[number].client() as client:
                assert client.exists(f"checkmate:{{{QUEUE}}}:queue"), "the queue lives elsewhere"
            cluster.masters[number].kill()
            await cluster.failed_over_to(cluster.replicas[number])

        crew.url = cluster.url
        await ordeal(crew, lose_the_queue_s_master, forgetful=True)
    finally:
        cluster.kill()
