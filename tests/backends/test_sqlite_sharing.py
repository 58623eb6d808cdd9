"""Several stores and processes on one file: nobody meets a lock, nobody starves, everybody is woken."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.model import Added, Done, Epoch, GroupJoin, NewJob
from checkmate_queue.testing.waiting import wait_until
from tests.backends.sqlite_processes import QUEUE, start, start_together


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(path, patience_ms=60_000)
    await opened.open()
    await opened.register(QUEUE)
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: SqliteStore, path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(path)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def hasty(store: SqliteStore, path: Path) -> AsyncIterator[SqliteStore]:
    """A store of little patience."""
    opened = SqliteStore(path, patience_ms=300)
    await opened.open()
    yield opened
    await opened.close()


def locked(path: Path) -> sqlite3.Connection:
    """A foreign connection that holds the lock for writing."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def test_two_stores_at_once(store: SqliteStore, other: SqliteStore) -> None:
    async def add(through: SqliteStore, name: str) -> list[bool]:
        answers = []
        for number in range(100):
            (unit,) = await through.add(
                QUEUE, [[NewJob(f"{name} {number}", b"1"), NewJob(str(number), b"1")]]
            )
            assert isinstance(unit, list)
            answers += [added.created for added in unit]
        return answers

    one, two = await asyncio.gather(add(store, "one"), add(other, "two"))
    assert sum(one) + sum(two) == 300
    assert (await store.stats(QUEUE)).unclaimed == 300


async def test_lock_of_another_is_waited_for(store: SqliteStore, path: Path) -> None:
    with closing(locked(path)) as connection:
        adding = asyncio.create_task(store.add(QUEUE, [[NewJob("a", b"1")]]))
        done, _ = await asyncio.wait([adding], timeout=0.1)
        assert not done
        connection.execute("ROLLBACK")
        assert await adding == [[Added("a", True)]]


async def test_patience_ends(store: SqliteStore, hasty: SqliteStore, path: Path) -> None:
    with closing(locked(path)):
        started = time.monotonic()
        with pytest.raises(BackendUnavailableError, match=r"queue\.db' has been locked by another process"):
            await hasty.add(QUEUE, [[NewJob("a", b"1")]])
        assert time.monotonic() - started >= 0.3
        assert (await store.stats(QUEUE)).unclaimed == 0
    assert await store.add(QUEUE, [[NewJob("a", b"1")]]) == [[Added("a", True)]]


async def test_patience_is_everybodys_own(hasty: SqliteStore, path: Path) -> None:
    """Calls that wait together give up together, not one after the other."""
    patience = 0.3
    with closing(locked(path)):
        adding = [hasty.add(QUEUE, [[NewJob(str(number), b"1")]]) for number in range(32)]
        started = time.monotonic()
        errors = await asyncio.gather(*adding, return_exceptions=True)
        assert time.monotonic() - started < len(adding) * patience
    assert {type(error) for error in errors} == {BackendUnavailableError}


async def test_reading_does_not_wait_for_a_lock(store: SqliteStore, path: Path) -> None:
    await store.add(QUEUE, [[NewJob("a", b"1")]])
    with closing(locked(path)):
        assert (await store.stats(QUEUE)).unclaimed == 1
        assert await store.ping() > 0


async def test_calls_share_a_transaction_but_not_an_error(store: SqliteStore, path: Path) -> None:
    """Calls that waited together go together; one that is refused does not take others with it."""
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    with closing(locked(path)) as connection:
        adding = [asyncio.create_task(store.add(QUEUE, [[NewJob(str(n), b"1")]])) for n in range(10)]
        refused = asyncio.create_task(store.add("unknown", [[NewJob("a", b"1")]]))
        wrong = asyncio.create_task(store.exchange(epoch, "g", 7, (), 1))
        done, _ = await asyncio.wait([*adding, refused, wrong], timeout=0.05)
        assert not done
        connection.execute("ROLLBACK")
        answers = await asyncio.gather(*adding, refused, wrong, return_exceptions=True)
    assert answers[:10] == [[[Added(str(n), True)]] for n in range(10)]
    assert "never registered" in str(answers[10])
    assert isinstance(answers[11], ValueError)
    assert (await store.stats(QUEUE)).pending == 10


async def test_heartbeat_from_another_loop(store: SqliteStore) -> None:
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    errors: list[BaseException] = []

    async def beat() -> None:
        for number in range(50):
            await store.heartbeat(epoch, str(number).encode())

    def run() -> None:
        try:
            asyncio.run(beat())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for number in range(200):
        await store.add(QUEUE, [[NewJob(str(number), b"1")]])
    await asyncio.to_thread(thread.join)
    assert errors == []
    (worker,) = await store.workers(QUEUE)
    assert worker.report == b"49"


async def test_no_thread_is_left(path: Path) -> None:
    before = set(threading.enumerate())
    store = SqliteStore(path, synchronous="FULL")
    await store.open()
    await store.register(QUEUE)
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], 30_000)
    await store.add(QUEUE, [[NewJob(str(number), b"1" * 10_000) for number in range(1000)]])
    await store.heartbeat(epoch)
    await store.stats(QUEUE)
    await store.close()
    assert set(threading.enumerate()) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_fence_waits_for_what_is_under_way(store: SqliteStore, other: SqliteStore) -> None:
    async def add() -> int:
        accepted = 0
        try:
            while True:
                await store.add(QUEUE, [[NewJob(str(accepted), b"1")]])
                accepted += 1
                await asyncio.sleep(0)
        except Exception as error:
            assert "elsewhere" in getattr(error, "successor", "")
        return accepted

    adding = asyncio.create_task(add())
    await wait_until(lambda: _some(other), description="some jobs were added")
    await other.fence(QUEUE, "elsewhere")
    at_fence = (await other.stats(QUEUE)).unclaimed
    assert await adding == at_fence == (await other.stats(QUEUE)).unclaimed


async def _some(store: SqliteStore) -> bool:
    return (await store.stats(QUEUE)).unclaimed > 10


# -- processes -----------------------------------------------------------------------------------


async def test_ten_processes_make_one_schema(path: Path) -> None:
    with start_together(10, "open-and-add", path) as process:
        output, _ = process.communicate(timeout=120)
    assert output.split() == ["done"] * 10
    store = SqliteStore(path)
    await store.open()
    assert (await store.stats(QUEUE)).unclaimed == 10
    await store.close()


async def test_nobody_starves(path: Path) -> None:
    """Processes that write as fast as they can let each other in."""
    with start_together(3, "compete", path, 400) as process:
        output, _ = process.communicate(timeout=120)
    assert output.split() == ["done"] * 3, "somebody's patience ended"
    store = SqliteStore(path)
    await store.open()
    writers = [job.id.partition(" ")[0] for job in await store.jobs(QUEUE, limit=2000)]
    await store.close()
    assert len(writers) == 1200
    turns = sum(1 for one, next_one in pairwise(writers) if one != next_one)
    assert turns > 15, f"in 1200 jobs, they took {turns} turns"


async def test_sleeper_of_another_process_is_woken(store: SqliteStore, path: Path) -> None:
    with start("sleep", path) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "asleep\n"
        await store.add(QUEUE, [[NewJob("morning", b"1")]])
        assert await asyncio.to_thread(process.stdout.readline) == "woken\n"
        assert await asyncio.to_thread(process.stdout.readline) == "morning\n"


async def test_sleeper_that_was_killed_does_no_harm(store: SqliteStore, path: Path) -> None:
    with start("sleep", path) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "asleep\n"
        process.kill()
    assert _sleepers(path) == 1
    await store.add(QUEUE, [[NewJob("morning", b"1")]])
    assert _sleepers(path) == 0


def _sleepers(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM sleeper").fetchone()
    return int(count)


@pytest.mark.parametrize("why", ["ready", "due earlier", "resumed", "cancelled", "given back", "retry"])
async def test_news_reach_another_store(store: SqliteStore, other: SqliteStore, why: str) -> None:
    """Whatever gives a sleeper something to do wakes it, wherever it sleeps."""
    heard: list[str] = []
    other.listen(heard.append)
    sleeper = await other.join(QUEUE, "sleeper", [GroupJoin("g")], 30_000)
    worker = await store.join(QUEUE, "worker", [GroupJoin("g")], 30_000)
    claims = []
    if why in ("cancelled", "given back", "retry"):
        await store.add(QUEUE, [[NewJob("running", b"1")]])
        claims = (await store.exchange(worker, "g", 1, (), 1)).claims
    if why == "due earlier":
        await store.add(QUEUE, [[NewJob("later", b"1", delay_ms=60_000)]])
    if why == "resumed":
        await store.set_paused(QUEUE, True)
        await store.add(QUEUE, [[NewJob("held back", b"1")]])
    await _fall_asleep(other, sleeper)
    heard.clear()
    match why:
        case "ready":
            await store.add(QUEUE, [[NewJob("a", b"1")]])
        case "due earlier":
            await store.add(QUEUE, [[NewJob("sooner", b"1", delay_ms=30_000)]])
        case "resumed":
            await store.set_paused(QUEUE, False)
        case "cancelled":
            await store.cancel(QUEUE, "running")
        case "given back":
            await store.leave(worker, ["g"])
        case _:
            await store.exchange(worker, "g", 2, [Done(claims[0].key)], 0)
            await store.add(QUEUE, [[NewJob("delayed", b"1", delay_ms=1)]])
    await wait_until(lambda: heard == [QUEUE], description=f"the sleeper hears that something is {why}")


async def _fall_asleep(store: SqliteStore, epoch: Epoch) -> None:
    assert (await store.exchange(epoch, "g", 1, (), 1)).claims == []


async def test_datagrams_of_others_are_ignored(store: SqliteStore) -> None:
    """Who does not know the word is no one of ours."""
    heard: list[str] = []
    store.listen(heard.append)
    waker = store._waker
    assert waker is not None
    port, _, word = waker.address.partition(":")
    waker._send("stranger", f"{port}:0000")
    waker._send("friend", f"{port}:{word}")
    await wait_until(lambda: heard, description="the friend is heard")
    assert heard == ["friend"]
