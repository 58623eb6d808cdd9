"""What `checkmate-queue doctor` says of a Redis server's settings: each danger, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkmate_queue import QueueManager
from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import Site
from tests.servers.debian import find_program
from tests.servers.redis_constellations import Cluster
from tests.servers.redis_process import DURABLE, RedisProcess, running


async def dangers(url: str) -> list[str]:
    """By the first word."""
    async with QueueManager(url) as manager:
        return [danger.split()[0] for danger in (await manager.probe_backend()).dangers]


async def check(program: str | None) -> None:
    """Set one after another on a server without any."""
    async with running(*DURABLE, program=program) as server:
        assert await dangers(server.url) == []
        with server.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            assert await dangers(server.url) == ["maxmemory-policy"]
            client.config_set("appendfsync", "no")
            assert await dangers(server.url) == ["maxmemory-policy", "appendfsync"]
            client.config_set("appendonly", "no")
            assert await dangers(server.url) == ["maxmemory-policy", "appendonly"]
            client.config_set("maxmemory-policy", "noeviction")
            assert await dangers(server.url) == ["appendonly"]


async def test_each_dangerous_setting_is_named() -> None:
    await check(None)


@pytest.mark.full
async def test_each_dangerous_setting_of_redis_7_is_named() -> None:
    await check(find_program("redis-server"))


async def test_replicas_that_nobody_waits_for_are_named(tmp_path: Path) -> None:
    async with running(*DURABLE) as server:
        replica = RedisProcess(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port))
        await replica.start()
        try:
            with server.client() as client:
                await wait_until(
                    lambda: client.info("replication")["connected_slaves"] == 1,
                    description="a replica",
                    timeout=30,
                )
                assert await dangers(server.url) == ["min-replicas-to-write"]
                client.config_set("min-replicas-to-write", 1)
                assert await dangers(server.url) == []
        finally:
            replica.kill()


async def test_what_a_user_may_not_ask_stays_out() -> None:
    async with running(*DURABLE, "--appendfsync", "no") as server:
        with server.client() as client:
            client.acl_setuser(
                "worker", enabled=True, passwords=["+secret"], keys=["*"], channels=["*"],
                commands=["+@all", "-config"],
            )  # fmt: skip
        assert await dangers(server.url) == ["appendfsync"]
        assert await dangers(f"redis://worker:secret@{server.address}") == []


async def test_the_doctor_warns(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with running() as server:
        findings = await site.call_json("doctor", "--url", server.url)
        settings = [(f["status"], f["message"].split()[0]) for f in findings if f["check"] == "settings"]
        assert settings == [("warning", "appendonly")]


@pytest.mark.full
async def test_a_master_of_a_cluster_that_differs_is_named(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    try:
        await cluster.start()
        with cluster.masters[1].client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        async with QueueManager(cluster.url) as manager:
            found = (await manager.probe_backend()).dangers
        eviction, replicas = sorted(found)
        assert eviction.endswith(f"(on {cluster.masters[1].address})")
        assert replicas.startswith("min-replicas-to-write is 0")
        assert "(on" not in replicas
    finally:
        cluster.kill()
