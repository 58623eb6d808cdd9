"""Making the schema: by many at once, by a command, and not at all."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from checkmate_queue import ConfigError, QueueManager
from checkmate_queue.backends.postgres.statements import functions, migrations
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Done, GroupJoin, NewJob

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

PROCESSES = 10
PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "backends.md"
COMMAND = Path(sys.executable).with_name("checkmate-queue")
START = """
import asyncio, sys
from checkmate_queue import QueueManager

async def main():
    manager = QueueManager(sys.argv[1])
    sys.stdin.readline()
    await manager.start(consume=False)
    await manager.get_queue("q").enqueue(1, job_id="the only one")
    await manager.shutdown()

asyncio.run(main())
"""


async def test_ten_processes_that_start_at_once_make_one_schema(postgres_storage: PostgresStorage) -> None:
    """SPEC 1: the schema is made by whoever comes first, and all others wait for it."""
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", START, postgres_storage.manager_url), stdin=pipe, stdout=pipe, stderr=pipe
        )
        for _ in range(PROCESSES)
    ]
    ends = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0] * PROCESSES, ends
    async with QueueManager(postgres_storage.manager_url) as manager:
        assert (await manager.get_queue("q").get_stats()).unclaimed == 1
    database = await asyncpg.connect(postgres_storage.url)
    made = await database.fetchval(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = to_regnamespace($1)", postgres_storage.schema
    )
    await database.close()
    assert made == len(functions())


async def test_the_command_makes_what_a_start_may_not(postgres_storage: PostgresStorage) -> None:
    """With `migrate_on_start` off nothing is made until the command is run."""
    url = f"{postgres_storage.manager_url}&migrate_on_start=false"
    with pytest.raises(ConfigError, match="checkmate-queue migrate"):
        await QueueManager(url).start()
    for _ in range(2):
        command = await asyncio.create_subprocess_exec(
            *(COMMAND, "migrate", "--url", url), stdout=asyncio.subprocess.PIPE
        )
        assert b"ready" in (await command.communicate())[0]
        assert command.returncode == 0
    async with QueueManager(url) as manager:
        assert await manager.list_queues() == []


async def test_a_role_that_may_not_create_works(postgres_storage: PostgresStorage) -> None:
    """The grants that the documentation names are enough for every verb."""
    await (store := await postgres_storage.connect()).open()
    await store.close()
    role, schema = f"worker_{uuid4().hex[:8]}", postgres_storage.schema
    database = await asyncpg.connect(postgres_storage.url)
    (grants,) = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    await database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    await database.execute(grants.replace("checkmate_queue", schema).replace("TO worker", f"TO {role}"))
    try:
        worker = PostgresStore(
            postgres_storage.url.replace("//postgres:@", f"//{role}@").replace("//postgres@", f"//{role}@"),
            password="secret",
            schema=schema,
            migrate=False,
        )
        await worker.open()
        await worker.register("q")
        epoch = await worker.join("q", "w", [GroupJoin("g")], 30_000)
        await worker.add("q", [[NewJob("a", b"1")]])
        claims = (await worker.exchange(epoch, "g", 1, [], 1)).claims
        assert [claim.job_id for claim in claims] == ["a"]
        await worker.exchange(epoch, "g", 2, [Done(claims[0].key)], 1)
        await worker.tick(epoch)
        assert (await worker.stats("q")).completed == 1
        assert await worker.save_setting("k", "v", 0)
        await worker.close()
        refused = await asyncpg.connect(postgres_storage.url)
        await refused.execute(f"SET ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await refused.execute(f"CREATE TABLE {schema}.mine (x integer)")
        await refused.close()
    finally:
        await database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await database.close()


async def test_a_newer_format_is_refused(postgres_storage: PostgresStorage) -> None:
    """U1: with an error that names both."""
    await (store := await postgres_storage.connect()).open()
    await store.close()
    database = await asyncpg.connect(postgres_storage.url)
    await database.execute(
        f"UPDATE {postgres_storage.schema}.meta SET value = '{len(migrations()) + 1}' WHERE key = 'format'"
    )
    await database.close()
    with pytest.raises(ConfigError, match=f"format {len(migrations()) + 1}.* up to {len(migrations())}"):
        await (await postgres_storage.connect()).open()
