"""A lane by itself: when it waits, and what it makes of what goes wrong around a verb."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from checkmate_queue.backends.sqlite.connection import connect
from checkmate_queue.backends.sqlite.lane import Lane
from checkmate_queue.backends.sqlite.transaction import Transaction, Unfinished
from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.model import StoreLimits


def lane(
    path: Path,
    connection: sqlite3.Connection,
    begin: Literal["BEGIN", "BEGIN IMMEDIATE"] = "BEGIN IMMEDIATE",
    committed: Callable[[Transaction], None] = lambda _: None,
) -> Lane:
    """A patient lane to a plain file."""
    return Lane(
        str(path),
        connection,
        lambda used: Transaction(used, lambda: 0, StoreLimits(), ""),
        check=lambda: None,
        begin=begin,
        turnstile=None,
        committed=committed,
        patience=30,
        at_once=begin == "BEGIN IMMEDIATE",
    )


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[sqlite3.Connection]:
    with closing(connect(str(tmp_path / "plain.db"), "NORMAL", time.monotonic())) as opened:
        opened.execute("CREATE TABLE note (text)")
        yield opened


def count(transaction: Transaction) -> int:
    (number,) = transaction.connection.execute("SELECT count(*) FROM note").fetchone()
    return int(number)


async def test_reading_waits_for_a_lock(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """Some locks (here: of a file without a log) are in the way of readers, too."""
    reading = lane(tmp_path / "plain.db", connection, "BEGIN")
    with closing(sqlite3.connect(tmp_path / "plain.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        call = asyncio.create_task(reading.run(count))
        done, _ = await asyncio.wait([call], timeout=0.05)
        assert not done
        other.execute("COMMIT")
        assert await call == 0
    reading.close()


@pytest.mark.parametrize("light", [True, False])
async def test_what_is_committed_stays(
    connection: sqlite3.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture, light: bool
) -> None:
    """Where nobody can be told of it, the verb has succeeded all the same, and is not repeated."""

    def fail(transaction: Transaction) -> None:
        raise RuntimeError("can't tell")

    writing = lane(tmp_path / "plain.db", connection, committed=fail)
    await asyncio.gather(*(writing.run(note, light=light) for _ in range(5)))
    writing.close()
    assert connection.execute("SELECT count(*) FROM note").fetchone() == (5,)
    assert "can't be told" in caplog.text


def note(transaction: Transaction) -> None:
    transaction.connection.execute("INSERT INTO note VALUES ('a')")


async def test_closing_waits_for_a_verb_at_once(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """The loop of another thread may be in the midst of one."""
    writing = lane(tmp_path / "plain.db", connection)
    begun, going_on = threading.Event(), threading.Event()

    def verb(transaction: Transaction) -> None:
        begun.set()
        assert going_on.wait(30)
        note(transaction)

    def close() -> int:
        writing.close()
        (number,) = connection.execute("SELECT count(*) FROM note").fetchone()
        return int(number)

    other = threading.Thread(target=lambda: asyncio.run(writing.run(verb)))
    other.start()
    assert await asyncio.to_thread(begun.wait, 30)
    closing_it = asyncio.create_task(asyncio.to_thread(close))
    done, _ = await asyncio.wait([closing_it], timeout=0.05)
    assert not done
    going_on.set()
    assert await closing_it == 1
    await asyncio.to_thread(other.join)
    with pytest.raises(BackendUnavailableError, match="was closed"):
        await writing.run(note)


def in_parts(parts: list[str], count: int) -> Callable[[Transaction], str]:
    """A verb that takes so many transactions."""

    def verb(transaction: Transaction) -> str:
        parts.append("part")
        note(transaction)
        if parts.count("part") < count:
            raise Unfinished
        return "finished"

    return verb


@pytest.mark.parametrize("light", [True, False])
async def test_others_come_between_the_parts_of_a_call(
    connection: sqlite3.Connection, tmp_path: Path, light: bool
) -> None:
    """A verb that takes many transactions goes to the end of the line after each."""
    writing = lane(tmp_path / "plain.db", connection)
    done: list[str] = []

    def other(transaction: Transaction) -> None:
        done.append("other")

    answers = await asyncio.gather(
        writing.run(in_parts(done, 9), light=light), writing.run(other, light=False)
    )
    assert answers[0] == "finished"
    assert done[-1] == "part"
    assert "other" in done
    writing.close()


async def test_closing_finishes_all_parts_of_a_call(connection: sqlite3.Connection, tmp_path: Path) -> None:
    writing = lane(tmp_path / "plain.db", connection)
    parts: list[str] = []
    call = asyncio.create_task(writing.run(in_parts(parts, 9), light=False))
    await asyncio.sleep(0)
    await asyncio.to_thread(writing.close)
    assert await call == "finished"
    assert len(parts) == 9
