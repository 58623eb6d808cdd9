"""kill -9 at any moment: what was accepted is there, once, and the numbers are right."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from checkmate_queue.backends.sqlite import SqliteStore
from tests.backends.sqlite_processes import QUEUE, start


async def lives(role: str, path: Path, rounds: int) -> list[str]:
    """Start a process again and again, kill it in the middle, and collect what it said was accepted."""
    said: list[str] = []
    for number in range(rounds):
        with start(role, path) as process:
            assert process.stdout is not None
            said += (await asyncio.to_thread(process.stdout.readline)).split()
            await asyncio.sleep(random.Random(number).uniform(0, 0.05))
            process.kill()
            lines = (await asyncio.to_thread(process.stdout.read)).splitlines(keepends=True)
        said += " ".join(line for line in lines if line.endswith("\n")).split()
    return said


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    return str(answer)


async def remaining(store: SqliteStore) -> list[str]:
    """The ids of all living jobs."""
    ids: list[str] = []
    after = 0
    while jobs := await store.jobs(QUEUE, after=after, limit=1000):
        ids += [job.id for job in jobs]
        after = jobs[-1].key
    return ids


async def check_kills(path: Path, rounds: int) -> None:
    accepted = await lives("add", path, rounds)
    store = SqliteStore(path)
    await store.open()
    stored = await remaining(store)
    assert len(stored) == len(set(stored)) == (await store.stats(QUEUE)).unclaimed
    assert set(accepted) <= set(stored)

    completed = await lives("work", path, rounds)
    assert len(completed) == len(set(completed))
    left = await remaining(store)
    assert set(left).isdisjoint(completed)
    stats = await store.stats(QUEUE)
    assert stats.pending + stats.processing == len(left)
    assert stats.completed == len(stored) - len(left)
    await store.close()
    assert integrity(path) == "ok"


async def test_killed_a_few_times(tmp_path: Path) -> None:
    await check_kills(tmp_path / "queue.db", 2)


@pytest.mark.full
async def test_killed_again_and_again(tmp_path: Path) -> None:
    await check_kills(tmp_path / "queue.db", 40)
