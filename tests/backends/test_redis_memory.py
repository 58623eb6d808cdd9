"""What a pending job costs the server, and how ids are stored."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from uuid_utils import uuid7

from checkmate_queue.backends.redis.records import pack_id, unpack_id
from checkmate_queue.core.model import GroupJoin, NewJob
from tests.servers.redis_process import RedisProcess
from tests.servers.redis_storage import RedisStorage

pytest_plugins = ["tests.servers.valkey"]

JOBS = 100_000
BATCH = 500
MOST_BYTES = 300
PAYLOAD = b'"%b"' % (b"x" * 98)


async def bytes_per_job(storage: RedisStorage) -> float:
    """What no-op jobs with 100 bytes of payload, one group and generated ids take each."""
    store = await storage.connect()
    await store.open()
    await store.register("queue")
    await store.join("queue", "w", [GroupJoin("g")], 10**9)
    await store.add("queue", [[NewJob(str(uuid7()), PAYLOAD) for _ in range(BATCH)]])  # The script, once.
    async with Redis.from_url(storage.driver_url) as client:
        before = int((await client.info("memory"))["used_memory"])
        for _ in range(JOBS // BATCH):
            await store.add("queue", [[NewJob(str(uuid7()), PAYLOAD) for _ in range(BATCH)]])
        after = int((await client.info("memory"))["used_memory"])
    await store.close()
    return (after - before) / JOBS


async def test_a_pending_job_takes_at_most_300_bytes(redis_storage: RedisStorage) -> None:
    assert await bytes_per_job(redis_storage) <= MOST_BYTES


@pytest.mark.full
async def test_a_pending_job_takes_at_most_300_bytes_on_the_installed_server(tmp_path: Path) -> None:
    """Redis 7.0, where it is Debian's."""
    server = RedisProcess(tmp_path)
    await server.start()
    try:
        assert await bytes_per_job(RedisStorage(server.url)) <= MOST_BYTES
    finally:
        server.kill()


@pytest.mark.parametrize(
    "job_id",
    [
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "279cecfa-de1b-4cd1-99b0-4d949c6033e4",
        "01890a5d ac96 774b bcce b302099a8057",
        f"{UUID(int=0)}",
        "0" * 14 + "7" + "0" * 21,
        "01890a5d-ac96-774b-bcce-b302099a805g",
        "a:1",
        "ä" * 17,
    ],
)
def test_an_id_comes_back_as_it_was(job_id: str) -> None:
    """J1: whatever it looks like."""
    assert unpack_id(pack_id(job_id)) == job_id


def test_only_generated_ids_are_packed() -> None:
    assert len(pack_id(str(uuid7()))) == 17
    assert pack_id(str(uuid4())) != pack_id(str(uuid7()))
    with pytest.raises(UnicodeDecodeError):
        unpack_id(b"\xff")
