"""A SQLite file that is damaged, foreign, read-only, newer, locked or on a full disk (L2, U1)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from checkmate_queue import BackendUnavailableError, ConfigError, QueueManager
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Recorder, settled, still_works


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "queue.db"


async def made(path: Path) -> None:
    """A database with some jobs."""
    async with QueueManager(f"sqlite:///{path}") as manager:
        queue = manager.get_queue("q")
        for start in range(0, 3000, 1000):
            await queue.enqueue_many([f"{n} {'x' * 300}" for n in range(start, start + 1000)])


async def refused(path: Path, match: str) -> None:
    """Starting on this file raises `ConfigError`, and leaves it as it was."""
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(ConfigError, match=match):
            async with QueueManager(f"sqlite:///{path}", patience_seconds=0.1):
                pass
    assert path.read_bytes() == before
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_file_that_is_no_database(path: Path) -> None:
    """L2: `ConfigError` at the start, which says so; the file is not touched."""
    path.write_text("These are the notes of somebody else.\n" * 100)
    await refused(path, "not a SQLite database")


async def test_a_truncated_header(path: Path) -> None:
    """L2: the first bytes of a database are none."""
    await made(path)
    path.write_bytes(path.read_bytes()[:50])
    await refused(path, r"queue\.db")


async def test_a_database_of_another_application(path: Path) -> None:
    """L2: its tables are left alone."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    connection.close()
    await refused(path, "another application")


async def test_a_database_of_a_newer_version(path: Path) -> None:
    """U1: refused with an error that names both versions."""
    await made(path)
    with sqlite3.connect(path) as connection:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 7}")
    connection.close()
    await refused(path, rf"version {version + 7}.*above {version}.*upgrade")


async def test_a_damaged_schema(path: Path) -> None:
    """L2: `ConfigError` at the start."""
    await made(path)
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xaa" * 3996
    path.write_bytes(content)
    await refused(path, r"queue\.db")


async def test_damaged_pages_are_met_by_whoever_reads_them(path: Path) -> None:
    """L2: calls raise `BackendUnavailableError`; consumers keep trying, and the manager ends in order."""
    await made(path)
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2000] = b"\xaa" * 2000
    path.write_bytes(content)
    with pytest.raises(BackendUnavailableError, match="damaged"):
        async with QueueManager(f"sqlite:///{path}", patience_seconds=0.1) as manager:
            await manager.get_queue("q").list_jobs(limit=10_000)


async def test_a_file_that_vanishes(path: Path, short_stops: None) -> None:
    """L1: whatever becomes of it, a manager that used it ends."""
    async with QueueManager(f"sqlite:///{path}", patience_seconds=0.1) as manager:
        queue = manager.get_queue("q")
        recorder = Recorder()
        await queue.consume(recorder, consumer_group="g")
        await still_works(queue, recorder)
        for leftover in path.parent.glob("queue.db*"):
            leftover.unlink()


READ_ONLY = """
import asyncio, os, sys
from checkmate_queue import ConfigError, QueueManager
# Everything is imported and made while it can be read.
manager = QueueManager(f"sqlite:///{sys.argv[1]}", patience_seconds=0.1)
os.setgid(65534)
os.setuid(65534)
async def main():
    try:
        async with manager:
            print("started")
    except ConfigError as error:
        print(error)
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["read-only", "unreadable"])
async def test_a_file_without_permission(mode: int) -> None:
    """L2: `ConfigError` that says what to do."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        await made(path)
        path.chmod(mode)
        path.parent.chmod(0o755)
        said = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", READ_ONLY, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert f"'{path}' is unavailable" in said.stdout, said.stderr
    assert "make the file and its folder writable" in said.stdout or "may be read and written" in said.stdout


FULL_DISK = """
import asyncio, resource, signal, sys
from checkmate_queue import BackendUnavailableError, QueueManager

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    done = []
    async def handler(job):
        done.append(job.id)
    async with QueueManager(f"sqlite:///{sys.argv[1]}", patience_seconds=0.2) as manager:
        queue = manager.get_queue("q")
        await queue.enqueue("before")
        await queue.consume(handler, consumer_group="g")
        stored = 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        try:
            while True:
                await queue.enqueue("x" * 50_000, start_delay=600)
                stored += 1
        except BackendUnavailableError as error:
            print("full", "disk" in str(error) or "full" in str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await queue.enqueue("after")
        stored += 1
        while len(done) < 2:
            await asyncio.sleep(0.01)
        stats = await queue.get_stats()
        print("exact", stats.completed, stats.delayed + stats.completed - stored in (0, 1))

asyncio.run(main())
"""


async def test_a_full_disk(path: Path) -> None:
    """L2: callers learn of it; when there is room again, all goes on, and nothing is damaged."""
    said = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert said.stdout.splitlines() == ["full True", "exact 2 True"], said.stderr
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_lock_of_somebody_else(path: Path) -> None:
    """L2: is waited for, up to the patience; consumers go on when it is gone."""
    async with QueueManager(f"sqlite:///{path}", patience_seconds=0.3) as manager:
        queue = manager.get_queue("q")
        recorder = Recorder()
        await queue.consume(recorder, consumer_group="g")
        await still_works(queue, recorder)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailableError, match="locked"):
            await queue.enqueue("refused")
        waiting = asyncio.create_task(queue.enqueue("in time"))
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        other.close()
        await waiting
        await settled(queue)
        await wait_until(lambda: "in time" in recorder.data, description="it goes on", timeout=PATIENCE)
