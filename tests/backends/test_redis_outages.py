"""What a server, or the way to it, can do to the Redis backend: nothing that it kept is lost (L2, G7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checkmate_queue import BackendUnavailableError
from checkmate_queue.backends.redis.scripts import load_script
from checkmate_queue.backends.redis.store import RedisStore
from tests.servers.debian import find_program
from tests.servers.dropping_proxy import DroppingProxy
from tests.servers.redis_process import DURABLE, RedisProcess, free_port
from tests.servers.traffic import LEASE, PATIENCE, Traffic

VERBS = ("add", "exchange")


@pytest.fixture(params=["valkey", pytest.param("redis-server", marks=pytest.mark.full)])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RedisProcess]:
    """A server that keeps an append-only file."""
    program = None if request.param == "valkey" else find_program(request.param)
    options = (*DURABLE, "--enable-debug-command", "yes")
    server = RedisProcess(tmp_path / "server", *options, program=program)
    await server.start()
    yield server
    server.kill()


async def test_patience_lasts_as_long_as_it_is_set() -> None:
    """L2: not shorter, so that nothing above asks once more, and doubles it."""
    loop = asyncio.get_running_loop()
    store = RedisStore(f"redis://127.0.0.1:{free_port()}", patience_ms=800)
    begun = loop.time()
    with pytest.raises(BackendUnavailableError, match="ConnectionError"):
        await store.open()
    assert loop.time() - begun >= 0.8
    await store.close()


@pytest.mark.full
async def test_a_server_that_is_killed_and_comes_back_lost_nothing(server: RedisProcess) -> None:
    """L2, J3: with an append-only file; producers are told after their patience, consumers go on."""
    async with Traffic(server.url) as traffic:
        server.kill()
        await traffic.refused()
        await server.start()
        assert known_scripts(server) == []
        await traffic.flow()
        assert known_scripts(server) == list(VERBS)
        (stats,) = await traffic.settle()
        assert traffic.lost == []
    assert min(traffic.refusals) >= PATIENCE
    assert stats.completed >= len(traffic.accepted)
    assert stats.failed == 0


def known_scripts(server: RedisProcess) -> list[str]:
    """Which of the verbs the server knows by their hashes."""
    with server.client() as client:
        known = client.script_exists(*(load_script(verb).sha for verb in VERBS))
    return [verb for verb, knows in zip(VERBS, known, strict=True) if knows]


async def test_scripts_that_are_flushed_are_sent_again(server: RedisProcess) -> None:
    """L2: nobody notices."""
    async with Traffic(server.url) as traffic:
        with server.client() as client:
            before = client.info("commandstats")["cmdstat_eval"]["calls"]
            for _ in range(10):
                client.script_flush()
                await traffic.flow()
            assert client.info("commandstats")["cmdstat_eval"]["calls"] >= before + 10 * len(VERBS)
        (stats,) = await traffic.settle()
        assert traffic.lost == []
    assert traffic.refusals == []
    assert set(traffic.handled.values()) == {1}
    assert stats.completed == len(traffic.accepted)


async def test_connections_that_are_killed_are_made_again(server: RedisProcess) -> None:
    """L2: nobody notices, and nothing happens twice."""
    async with Traffic(server.url) as traffic:
        killed = 0
        for _ in range(20):
            with server.client() as client:
                killed += client.client_kill_filter(_type="normal", skipme=True)
                killed += client.client_kill_filter(_type="pubsub", skipme=True)
            await traffic.flow()
        await traffic.settle()
        assert traffic.lost == []
    assert killed >= 20
    assert traffic.refusals == []
    assert set(traffic.handled.values()) == {1}


@pytest.mark.full
@pytest.mark.parametrize("appendfsync", ["always", "no"])
async def test_an_append_only_file_survives_the_server_whenever_it_is_synced(
    appendfsync: str, tmp_path: Path
) -> None:
    """J3: the machine lives on, and has it."""
    server = RedisProcess(tmp_path / "server", "--appendonly", "yes", "--appendfsync", appendfsync)
    await server.start()
    try:
        async with Traffic(server.url) as traffic:
            for _ in range(3):
                server.kill()
                await server.start()
                await traffic.flow()
            (stats,) = await traffic.settle()
            assert traffic.lost == []
            assert stats.failed == 0
    finally:
        server.kill()


@pytest.mark.full
async def test_a_server_that_is_blocked_is_waited_for(server: RedisProcess) -> None:
    """L2, G12: for longer than a lease; no lease is lost, since nobody reached the server meanwhile."""
    async with Traffic(server.url) as traffic:
        with server.client() as client:
            sleeping = asyncio.to_thread(client.execute_command, "DEBUG", "SLEEP", str(LEASE + 2))
            task = asyncio.create_task(sleeping)
            await traffic.refused()
            assert not task.done()
            await task
        await traffic.flow()
        await traffic.settle()
        assert traffic.lost == []
    assert min(traffic.refusals) >= PATIENCE
    assert set(traffic.handled.values()) == {1}


async def through_silence(server: RedisProcess, seconds: float) -> None:
    """Drop what is under way for some time; both sides keep their connections and hear nothing."""
    async with DroppingProxy(server.port) as proxy:
        async with Traffic(f"redis://127.0.0.1:{proxy.port}") as traffic:
            proxy.drop()
            await asyncio.sleep(seconds)
            assert proxy.dropped > 0
            assert min(traffic.refusals) >= PATIENCE
            proxy.pass_on()
            await traffic.flow()
            (stats,) = await traffic.settle()
            assert traffic.lost == []
        assert stats.failed == 0


async def test_a_network_that_drops_everything_for_a_while(server: RedisProcess) -> None:
    """L2"""
    await through_silence(server, 2.5 * PATIENCE)


@pytest.mark.full
async def test_a_network_that_drops_everything_for_twenty_seconds(server: RedisProcess) -> None:
    """L2"""
    await through_silence(server, 20)
