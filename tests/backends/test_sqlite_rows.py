"""Rows that somebody put there by hand stop no verb (X3)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.model import Done, Fail, Failure, GroupJoin, NewJob, NewSchedule

QUEUE = "queue"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "queue.db")
    await opened.open()
    await opened.register(QUEUE)
    yield opened
    await opened.close()


def tamper(tmp_path: Path, *statements: str) -> None:
    """Change the file as a hand would."""
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("change", "data", "metadata"),
    [
        ("data = NULL", b"", b"{}"),
        ("data = 'text'", b"text", b"{}"),
        ("data = 4.5", b"4.5", b"{}"),
        ("data = x'ff00fe'", b"\xff\x00\xfe", b"{}"),
        ("metadata = NULL", b"1", b""),
        ("metadata = 'nonsense'", b"1", b"nonsense"),
        ("token = x'ff'", b"1", b"{}"),
    ],
)
async def test_alien_values(
    store: SqliteStore, tmp_path: Path, change: str, data: bytes, metadata: bytes
) -> None:
    """They are handed out as bytes, can be looked at, and can be failed and retried."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    await store.add(QUEUE, [[NewJob("alien", b"1", metadata=b"{}"), NewJob("good", b"2")]])
    tamper(tmp_path, f"UPDATE job SET {change} WHERE id = 'alien'")
    assert len(await store.jobs(QUEUE)) == 2
    (alien, good) = (await store.exchange(epoch, "g", 1, (), 10)).claims
    assert (alien.job_id, alien.data, alien.metadata) == ("alien", data, metadata)
    assert (good.job_id, good.data) == ("good", b"2")
    await store.exchange(epoch, "g", 2, [Fail(alien.key, Failure("payload", "alien")), Done(good.key)], 0)
    (failed,) = await store.failed(QUEUE)
    assert failed.data == data
    assert await store.retry_failed(QUEUE, "alien") == 1
    assert [claim.data for claim in (await store.exchange(epoch, "g", 3, (), 10)).claims] == [data]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE job SET priority = 'high'",
        "UPDATE job SET enqueued_at = 'yesterday'",
        "UPDATE job SET due_at = 'soon'",
        "UPDATE job SET sweep_at = 4.5",
        "UPDATE schedule SET next_at = 'soon'",
        "UPDATE schedule SET priority = NULL",
    ],
)
async def test_numbers_must_be_numbers(store: SqliteStore, tmp_path: Path, change: str) -> None:
    """What verbs compute with can't be anything else, whoever writes it."""
    await store.add(QUEUE, [[NewJob("a", b"1")]])
    await store.put_schedule(QUEUE, NewSchedule("s", b"1", "d", "t", 0, 1.0))
    with pytest.raises(sqlite3.IntegrityError):
        tamper(tmp_path, change)


async def test_id_that_is_no_text(store: SqliteStore, tmp_path: Path) -> None:
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    await store.add(QUEUE, [[NewJob("blob", b"1"), NewJob("broken", b"2")]])
    tamper(
        tmp_path,
        "UPDATE job SET id = x'ff41' WHERE id = 'blob'",
        "UPDATE job SET id = CAST(x'fe42' AS TEXT) WHERE id = 'broken'",
    )
    claims = (await store.exchange(epoch, "g", 1, (), 10)).claims
    assert [claim.job_id for claim in claims] == ["\ufffdA", "\ufffdB"]
    answer = await store.exchange(epoch, "g", 2, [Done(claim.key) for claim in claims], 0)
    assert answer.refused == []
    assert (await store.stats(QUEUE)).completed == 2


async def test_delivery_without_a_job(store: SqliteStore, tmp_path: Path) -> None:
    """Jobs that were removed by hand end; those behind them are claimed, and the numbers stay right."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    await store.add(QUEUE, [[NewJob(str(number), b"1") for number in range(10)]])
    tamper(tmp_path, "DELETE FROM job WHERE id < '8'")
    claims = (await store.exchange(epoch, "g", 1, (), 1)).claims
    assert [claim.job_id for claim in claims] == ["8"]
    stats = await store.stats(QUEUE)
    assert (stats.pending, stats.processing, stats.expired) == (1, 1, 8)


async def test_lapsed_claim_without_a_job(tmp_path: Path) -> None:
    """It ends, too, and those beside it are handed out to be settled."""
    now = 1_000_000
    store = SqliteStore(tmp_path / "queue.db", clock=lambda: now)
    await store.open()
    await store.register(QUEUE)
    dead = await store.join(QUEUE, "dead", [GroupJoin("g")], 10_000)
    heir = await store.join(QUEUE, "heir", [GroupJoin("g")], 100_000)
    await store.add(QUEUE, [[NewJob("removed", b"1"), NewJob("kept", b"1")]])
    await store.exchange(dead, "g", 1, (), 2)
    tamper(tmp_path, "DELETE FROM job WHERE id = 'removed'")
    for _ in range(3):
        now += 4000
        await store.tick(heir)
    tick = await store.tick(heir)
    assert [lapsed.claim.job_id for lapsed in tick.lapsed] == ["kept"]
    stats = await store.stats(QUEUE)
    assert (stats.processing, stats.expired) == (1, 1)
    await store.close()


async def test_record_of_a_newer_format(store: SqliteStore, tmp_path: Path) -> None:
    """It is handed out with its format, so that whoever reads it can refuse it (U1)."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    await store.add(QUEUE, [[NewJob("new", b"1")]])
    tamper(tmp_path, "UPDATE job SET format = 99")
    (claim,) = (await store.exchange(epoch, "g", 1, (), 10)).claims
    assert claim.record_format == 99


async def test_schedule_without_data(store: SqliteStore, tmp_path: Path) -> None:
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    await store.put_schedule(QUEUE, NewSchedule("s", b"1", "d", "t", 0, 1.0))
    tamper(tmp_path, "UPDATE schedule SET data = NULL")
    (schedule,) = (await store.tick(epoch)).due
    assert schedule.spec.data == b""


async def test_names_are_no_sql(store: SqliteStore) -> None:
    """Names and ids are values, whatever they say (X1)."""
    nasty = "'); DROP TABLE job; --"
    await store.register(nasty)
    epoch = await store.join(nasty, nasty, [GroupJoin(nasty)], 30_000)
    await store.add(nasty, [[NewJob(nasty, b"1")]])
    (claim,) = (await store.exchange(epoch, nasty, 1, (), 1)).claims
    assert claim.job_id == nasty
    assert await store.queues() == sorted([QUEUE, nasty])
