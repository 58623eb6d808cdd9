"""Servers that refuse: full, without rights, without replicas, or a master no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.model import Done, GroupJoin, NewJob
from checkmate_queue.store import UnknownQueueError
from checkmate_queue.testing.waiting import wait_until
from tests.servers.debian import find_program
from tests.servers.dropping_proxy import DroppingProxy
from tests.servers.redis_process import RedisProcess, running

QUEUE = "queue"
LEASE = 600_000


@pytest.fixture(params=["valkey", pytest.param("redis-server", marks=pytest.mark.full)])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[RedisProcess]:
    """A server of either make."""
    program = None if request.param == "valkey" else find_program(request.param)
    async with running(program=program) as server:
        yield server


async def opened(url: str, patience_ms: int = 60_000) -> RedisStore:
    """A store with one queue."""
    store = RedisStore(url, patience_ms=patience_ms)
    await store.open()
    await store.register(QUEUE)
    return store


def one(job_id: str) -> list[list[NewJob]]:
    """A unit of one job."""
    return [[NewJob(job_id, b"1")]]


async def refused(client: Redis, word: str) -> None:
    """Wait until the server has refused something by this word."""

    def has_refused() -> bool:
        return f"errorstat_{word}" in client.info("errorstats")

    await wait_until(has_refused, description=f"the server says {word}")


async def test_a_full_server_takes_nothing_new_and_lets_workers_make_room(server: RedisProcess) -> None:
    """L2, G7: what is there can be worked off, by workers that start now, too."""
    store = await opened(server.url)
    await store.add(QUEUE, [[NewJob(str(number), b"1") for number in range(200)]])
    with server.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(BackendUnavailableError, match="maxmemory"):
            await store.add(QUEUE, one("another"))
        late = await opened(server.url)
        epoch = await late.join(QUEUE, "w", [GroupJoin("g")], LEASE)
        n, claims = 1, (await late.exchange(epoch, "g", 1, [], 50)).claims
        while claims:
            n += 1
            await late.heartbeat(epoch)
            await late.tick(epoch)
            claims = (await late.exchange(epoch, "g", n, [Done(claim.key) for claim in claims], 50)).claims
        await late.leave(epoch, ["g"])
        stats = await store.stats(QUEUE)
        assert (stats.pending, stats.completed) == (0, 200)
        client.config_set("maxmemory", 0)
    await store.add(QUEUE, one("another"))
    await store.close()
    await late.close()


async def test_a_user_without_a_right_to_channels_does_without_news(server: RedisProcess) -> None:
    """A verb is done whole or not at all."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "u", "on", ">p", "~checkmate:*", "resetchannels", "+@all")
    store = await opened(f"redis://u:p@{server.address}")
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE)
    assert (await store.exchange(epoch, "g", 1, [], 1)).claims == []  # sleeps from now on
    await store.add(QUEUE, one("a"))
    assert (await store.stats(QUEUE)).pending == 1
    (claim,) = (await store.exchange(epoch, "g", 2, [], 5)).claims
    assert claim.job_id == "a"
    await store.close()


async def test_a_master_that_waits_for_a_replica_is_waited_for(server: RedisProcess) -> None:
    """L2: as in the moments after a failover."""
    store = await opened(server.url)
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        adding = asyncio.create_task(store.add(QUEUE, one("a")))
        await refused(client, "NOREPLICAS")
        assert not adding.done()
        client.config_set("min-replicas-to-write", 0)
    await adding
    await store.close()


async def test_an_address_that_leads_to_another_master_is_followed(server: RedisProcess) -> None:
    """L2: a connection to the old one stays, as behind the name of a managed server."""
    async with running() as other, DroppingProxy(server.port) as proxy:
        store = await opened(f"redis://127.0.0.1:{proxy.port}")
        proxy.lead_to(other.port)
        with server.client() as client:
            client.replicaof("127.0.0.1", other.port)
        with pytest.raises(UnknownQueueError):
            await store.add(QUEUE, one("a"))
        await store.register(QUEUE)
        await store.add(QUEUE, one("a"))
        await store.close()
        with other.client() as client:
            assert client.hlen("checkmate:{queue}:jobs") == 1


async def test_all_queues_that_are_joined_at_once_are_heard_of(server: RedisProcess) -> None:
    """J6: those included that come while the subscription is made."""
    queues = [f"q{number}" for number in range(30)]
    store = await opened(server.url)
    heard: set[str] = set()
    store.listen(heard.add)
    for queue in queues:
        await store.register(queue)
    await asyncio.gather(*(store.join(queue, "w", [GroupJoin("g")], LEASE) for queue in queues))
    await wait_until(lambda: heard == set(queues), description="each queue has news")
    await store.close()
