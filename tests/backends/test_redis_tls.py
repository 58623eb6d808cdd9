"""TLS, certificates and users, on Debian's Redis, whose build has TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checkmate_queue import BackendUnavailableError, Job, QueueManager
from tests.servers.certificates import Authority, Proof
from tests.servers.debian import find_program
from tests.servers.redis_constellations import Cluster, Guarded
from tests.servers.redis_process import DURABLE, RedisProcess, running

pytestmark = pytest.mark.full
USERS = (
    "user default on >the-server's ~* &* +@all",
    "user worker on >pass/word ~* &* +@all",
    "user looker on >other ~* &* +@read",
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom clients trust."""
    return Authority(tmp_path / "trusted")


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[RedisProcess]:
    """A server that asks nobody who they are."""
    options = (*DURABLE, "--tls-auth-clients", "no")
    async with running(*options, program=find_program("redis-server"), proof=authority.sign("server")) as it:
        yield it


async def carries(url: str) -> None:
    """A job goes in and is handled."""
    handled = asyncio.Event()

    async def handle(job: Job[int]) -> None:
        assert job.data == 1
        handled.set()

    async with QueueManager(url) as manager:
        queue = manager.get_queue("work", int)
        await queue.consume(handle, consumer_group="g")
        await queue.enqueue(1)
        await asyncio.wait_for(handled.wait(), 30)


async def refuses(url: str, why: str) -> str:
    """A start raises an error that says why; what it says."""
    with pytest.raises(BackendUnavailableError, match=why) as caught:
        async with QueueManager(url, patience_seconds=0.5):
            raise AssertionError("it started")
    return str(caught.value)


async def test_a_server_that_the_authority_vouches_for(server: RedisProcess, authority: Authority) -> None:
    await carries(f"{server.url}?ca_file={authority.file}")


async def test_another_authority_is_not_trusted(server: RedisProcess, tmp_path: Path) -> None:
    another = Authority(tmp_path / "another")
    await refuses(f"{server.url}?ca_file={another.file}", "certificate verify failed")
    await refuses(server.url, "certificate verify failed")
    await carries(f"{server.url}?verify=false")


async def test_a_certificate_of_another_host_is_not_trusted(authority: Authority) -> None:
    proof = authority.sign("elsewhere", "10.1.2.3")
    options = ("--tls-auth-clients", "no")
    async with running(*options, program=find_program("redis-server"), proof=proof) as server:
        await refuses(f"{server.url}?ca_file={authority.file}", "certificate is not valid for '127.0.0.1'")


async def test_tls_where_the_server_has_none() -> None:
    async with running() as server:
        await refuses(server.url.replace("redis://", "rediss://"), "Redis can't be used: .*")


async def test_a_client_that_must_prove_who_it_is(authority: Authority) -> None:
    proof = authority.sign("server")
    async with running(program=find_program("redis-server"), proof=proof) as server:
        await carries(f"{server.url}?{proven(authority.sign('client'))}")
        await refuses(f"{server.url}?ca_file={authority.file}", "Redis can't be used: .*")


def proven(proof: Proof) -> str:
    """The settings of a client."""
    return f"ca_file={proof.authority}&certificate_file={proof.certificate}&key_file={proof.key}"


async def test_users_and_passwords(authority: Authority) -> None:
    users = authority.folder / "users"
    users.write_text("\n".join(USERS) + "\n")
    options = ("--tls-auth-clients", "no", "--aclfile", str(users))
    proof = authority.sign("server")
    access = {"username": "worker", "password": "pass/word"}
    async with running(*options, program=find_program("redis-server"), proof=proof, access=access) as server:
        query = f"ca_file={authority.file}"
        await carries(f"rediss://worker:pass%2Fword@{server.address}?{query}")
        await carries(f"rediss://worker@{server.address}?{query}&password=pass%2Fword")
        await carries(f"rediss://:the-server%27s@{server.address}?{query}")
        said = await refuses(f"rediss://worker:wr0ng@{server.address}?{query}", "WRONGPASS|invalid")
        assert "wr0ng" not in said
        await refuses(f"{server.url}?{query}", "AuthenticationError")
        await refuses(f"rediss://looker:other@{server.address}?{query}", "no permissions|NOPERM")


async def test_a_cluster_over_tls(authority: Authority, tmp_path: Path) -> None:
    proof = authority.sign("node")
    cluster = Cluster(tmp_path, program=find_program("redis-server"), proof=proof)
    try:
        await cluster.start()
        await carries(f"{cluster.url}?{proven(proof)}")
    finally:
        cluster.kill()


async def test_sentinels_over_tls(authority: Authority, tmp_path: Path) -> None:
    proof = authority.sign("node")
    guarded = Guarded(tmp_path, program=find_program("redis-server"), proof=proof)
    try:
        await guarded.start()
        await carries(f"{guarded.url}?{proven(proof)}")
    finally:
        guarded.kill()
