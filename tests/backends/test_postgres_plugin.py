"""PostgreSQL as a plugin: its URL, its secrets, its driver, and news."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest

from checkmate_queue import BackendUnavailableError, ConfigError, Job, QueueManager
from checkmate_queue.backends.postgres.plugin import PostgresPlugin
from checkmate_queue.core.model import GroupJoin, NewJob
from checkmate_queue.testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

NOWHERE = "postgresql://nobody:s3cret@127.0.0.1:1/none"


def test_the_url_gives_the_address_and_the_query_settings() -> None:
    manager = QueueManager(
        "postgresql://user:p%40ss@db.example:5433/app?sslmode=require&concurrency=7&schema=jobs"
    )
    config = manager.get_active_config()
    assert manager.get_active_plugin() == "postgres"
    assert config["url"] == "postgresql://user@db.example:5433/app?sslmode=require"
    assert (config["concurrency"], config["schema"], config["password"]) == (7, "jobs", "**********")


def test_a_password_is_never_shown() -> None:
    for values in ({"url": NOWHERE}, {"url": "postgresql://nobody@host/none", "password": "s3cret"}):
        config = PostgresPlugin().validate(values)
        assert config.password is not None
        assert config.password.get_secret_value() == "s3cret"
        assert "s3cret" not in f"{config!r} {config.model_dump(mode='json')} {config.url}"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://host/db?concurency=1", "no setting 'concurency'; there are: .* schema"),
        ("postgresql://host:port/db", "port"),
        ("postgresql://host/db?schema=", "schema"),
        ("postgresql://host/db?schema=$user", "schema: .*PostgreSQL's own"),
        ("postgresql://host/db?schema=pg_mine", "schema: .*PostgreSQL's own"),
        ("postgresql://host/db?schema=a%00b", "schema: .*control characters"),
        (f"postgresql://host/db?schema={'é' * 32}", "schema: .*63 bytes"),
        ("postgresql://host/db?delay_multiplier=2", "no setting 'delay_multiplier'"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        QueueManager(url)


def test_the_driver_is_wanted_only_by_those_who_use_it() -> None:
    """Without asyncpg all others work, and PostgreSQL says what to install."""
    program = """
import asyncio, sys
sys.modules["asyncpg"] = None
from checkmate_queue import ConfigError, QueueManager
QueueManager("memory://")
try:
    asyncio.run(QueueManager("postgresql://host/db").start())
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "checkmate-queue[postgres]" in done.stdout
    looks = 'import sys, checkmate_queue as c; c.QueueManager("memory://"); print("asyncpg" in sys.modules)'
    done = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_an_unreachable_server_raises_after_the_patience() -> None:
    begun = time.monotonic()
    with pytest.raises(BackendUnavailableError) as raised:
        await QueueManager(NOWHERE, patience_seconds=0.5).start()
    assert 0.4 < time.monotonic() - begun < 10
    assert "s3cret" not in str(raised.value)


async def test_a_manager_works_by_its_url_alone(postgres_storage: PostgresStorage) -> None:
    done: list[object] = []

    async def handle(job: Job[object]) -> None:
        done.append(job.data)

    async with QueueManager(postgres_storage.url, schema=postgres_storage.schema) as manager:
        queue = manager.get_queue("orders")
        await queue.consume(handle, consumer_group="workers")
        await queue.enqueue({"order": 1})
        await wait_until(lambda: done == [{"order": 1}], description="the job is done")


async def test_sleepers_hear_of_what_others_do(postgres_storage: PostgresStorage) -> None:
    """J6: what becomes ready, or is due before all else, wakes sleepers in other processes."""
    here, there = await postgres_storage.connect(), await postgres_storage.connect()
    heard: list[str] = []
    await here.open()
    await there.open()
    try:
        await here.register("q")
        here.listen(heard.append)
        epoch = await here.join("q", "w", [GroupJoin("g")], 30_000)
        number = 0

        async def hears(what: str) -> None:
            await wait_until(lambda: "q" in heard, description=f"news of {what}")

        async def doze() -> None:
            nonlocal number
            number += 1
            await here.exchange(epoch, "g", number, [], 1000)
            heard.clear()

        async def is_listening() -> bool:
            await doze()
            await there.set_paused("q", False)
            return "q" in heard

        await wait_until(is_listening, description="the listener is connected")
        await doze()
        await there.add("q", [[NewJob("a", b"1")]])
        await hears("a ready job")
        await doze()
        await there.add("q", [[NewJob("b", b"1", delay_ms=60_000)]])
        await hears("an earlier due time")
        await doze()
        await there.cancel("q", "a")
        await hears("a cancelled delivery")
    finally:
        await there.close()
        await here.close()


async def test_the_listener_comes_back(postgres_storage: PostgresStorage) -> None:
    """L2: when the connection that listens is cut, polling goes on and another one is made."""
    done: list[object] = []

    async def handle(job: Job[object]) -> None:
        done.append(job.data)

    database = await asyncpg.connect(postgres_storage.url)

    async def listeners() -> set[int]:
        rows = await database.fetch(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        return {row["pid"] for row in rows}

    async with QueueManager(postgres_storage.url, schema=postgres_storage.schema) as manager:
        queue = manager.get_queue("orders")
        await queue.consume(handle, consumer_group="workers")
        await wait_until(listeners, description="it listens")
        before = await listeners()
        for listener in before:
            await database.execute("SELECT pg_terminate_backend($1)", listener)
        await queue.enqueue(1)
        await wait_until(lambda: done == [1], description="the job is done")

        async def listens_again() -> bool:
            return bool(await listeners() - before)

        await wait_until(listens_again, description="it listens again")
    await database.close()
