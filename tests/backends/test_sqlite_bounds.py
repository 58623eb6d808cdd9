"""How much one transaction does at most, and what others may do between two of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from pathlib import Path
from threading import current_thread, main_thread

import pytest

from checkmate_queue.backends.sqlite import SqliteStore, ingestion, membership, repair, scheduling
from checkmate_queue.backends.sqlite.connection import connect
from checkmate_queue.backends.sqlite.lane import Lane, Verb
from checkmate_queue.backends.sqlite.transaction import Transaction, Unfinished
from checkmate_queue.core.model import (
    CancelResult,
    Epoch,
    Firing,
    GroupJoin,
    NewJob,
    NewSchedule,
    StoreLimits,
)
from checkmate_queue.store import BATCH
from checkmate_queue.testing.clock import TravellingClock

QUEUE = "queue"
LEASE_MS = 30_000
MANY = 3 * BATCH + 500
ROWS_OF_A_JOB = 4
"""At most so many rows are written for a job that goes to one group."""


class Transactions:
    """What was committed on this file: how many rows each transaction changed, and on which thread.

    `between` is called after each of them, when another process could come in.
    """

    def __init__(self, path: Path, clock: TravellingClock) -> None:
        self._path = path
        self._clock = clock
        self.sizes: list[int] = []
        self.in_threads: list[bool] = []
        self.between: Callable[[], None] = lambda: None

    def note(self, transaction: Transaction) -> None:
        """A transaction was committed."""
        if transaction.connection.execute("PRAGMA query_only").fetchone() == (0,):
            self.sizes.append(transaction.changes)
            self.in_threads.append(current_thread() is not main_thread())
            self.between()

    def elsewhere(self, verb: Verb[object]) -> None:
        """Run a verb on a connection of its own, which doesn't wait for anybody."""
        with closing(connect(str(self._path), "NORMAL", 0)) as connection:
            finished = False
            while not finished:
                connection.execute("BEGIN IMMEDIATE")
                with suppress(Unfinished):
                    verb(Transaction(connection, self._clock, StoreLimits(), "elsewhere"))
                    finished = True
                connection.execute("COMMIT")


@pytest.fixture
def clock() -> TravellingClock:
    return TravellingClock()


@pytest.fixture
def transactions(tmp_path: Path, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch) -> Transactions:
    noted = Transactions(tmp_path / "queue.db", clock)
    tell = Lane._tell

    def tell_and_note(lane: Lane, transaction: Transaction) -> None:
        tell(lane, transaction)
        noted.note(transaction)

    monkeypatch.setattr(Lane, "_tell", tell_and_note)
    return noted


@pytest.fixture
async def store(
    tmp_path: Path, clock: TravellingClock, transactions: Transactions
) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "queue.db", clock=clock)
    await opened.open()
    await opened.register(QUEUE)
    yield opened
    transactions.between = lambda: None
    await opened.close()


async def claim_all(store: SqliteStore, epoch: Epoch, group: str = "g") -> list[str]:
    """Claim until nothing is left."""
    ids: list[str] = []
    n = 1
    while claims := (await store.exchange(epoch, group, n, (), 700)).claims:
        ids += [claim.job_id for claim in claims]
        n += 1
    return ids


# -- firing --------------------------------------------------------------------------------------


async def put(store: SqliteStore, clock: TravellingClock, count: int, due: int) -> list[Firing]:
    """Store so many schedules, and make firings that have so many due times each."""
    firings = []
    for number in range(count):
        stored = await store.put_schedule(
            QUEUE,
            NewSchedule(
                f"s{number}",
                b"1",
                "definition",
                "each second",
                clock(),
                1,
                None,
                "UTC",
                0,
                "all",
                True,
                "hold",
            ),
        )
        assert stored.next_at is not None
        times = tuple(stored.next_at + 1000 * step for step in range(due))
        firings.append(Firing(stored.spec.id, stored.revision, stored.next_at, times[-1] + 1000, times))
    return firings


async def test_many_due_times_are_fired_in_parts(
    store: SqliteStore, clock: TravellingClock, transactions: Transactions
) -> None:
    """No transaction makes more than about a batch of jobs, and each firing is whole in one (R5)."""
    await store.join(QUEUE, "w", [GroupJoin("g")], LEASE_MS)
    firings = await put(store, clock, 7, 400)
    transactions.sizes.clear()
    transactions.between = lambda: transactions.elsewhere(
        lambda tx: ingestion.add(tx, QUEUE, [[NewJob(f"other {len(transactions.sizes)}", b"1")]])
    )
    assert await store.fire(QUEUE, firings) == [True] * 7
    assert len(transactions.sizes) == 4
    assert max(transactions.sizes) <= ROWS_OF_A_JOB * BATCH
    ids = [job.id for job in await store.jobs(QUEUE, limit=10_000)]
    at = [position for position, job_id in enumerate(ids) if job_id.startswith("other")]
    assert at == [800, 1601, 2402, 2803]
    assert await store.fire(QUEUE, firings) == [False] * 7
    assert (await store.stats(QUEUE)).pending == 2800 + len(transactions.sizes)


async def test_many_due_times_are_fired_on_a_thread(
    store: SqliteStore, clock: TravellingClock, transactions: Transactions
) -> None:
    """What counts is how many jobs are made, not how many schedules make them."""
    few, many = await put(store, clock, 2, 20), (await put(store, clock, 3, 100))[2:]
    transactions.in_threads.clear()
    await store.fire(QUEUE, few)
    await store.fire(QUEUE, many)
    assert transactions.in_threads == [False, True]


# -- unclaimed jobs ------------------------------------------------------------------------------


async def add_many(store: SqliteStore) -> list[str]:
    """So many unclaimed jobs, with the most urgent one last; the order in which they come."""
    unit = [NewJob(str(number), b"1") for number in range(MANY)]
    await store.add(QUEUE, [unit, [NewJob("urgent", b"1", priority=9)]])
    return ["urgent", *map(str, range(MANY))]


def once(action: Callable[[], None], transactions: Transactions) -> None:
    """Do something after the next transaction."""

    def do_once() -> None:
        transactions.between = lambda: None
        action()

    transactions.between = do_once


async def test_unclaimed_jobs_are_handed_over_in_batches(
    store: SqliteStore, transactions: Transactions
) -> None:
    """All come in order before what others add meanwhile (G2)."""
    expected = await add_many(store)
    transactions.sizes.clear()
    transactions.between = lambda: transactions.elsewhere(
        lambda tx: ingestion.add(tx, QUEUE, [[NewJob(f"meanwhile {len(transactions.sizes)}", b"1")]])
    )
    epoch = await store.join(QUEUE, "w", [GroupJoin("g1"), GroupJoin("g2")], LEASE_MS)
    transactions.between = lambda: None
    assert len(transactions.sizes) == 4
    assert max(transactions.sizes) <= 2 * ROWS_OF_A_JOB * BATCH
    expected += [f"meanwhile {number}" for number in (1, 2, 3, 4)]
    stats = await store.stats(QUEUE)
    assert (stats.unclaimed, stats.groups["g1"].pending) == (0, len(expected))
    assert await claim_all(store, epoch, "g1") == expected
    assert await claim_all(store, epoch, "g2") == expected


async def test_due_jobs_keep_their_place_among_unclaimed_ones(
    store: SqliteStore, clock: TravellingClock
) -> None:
    """One that became due before others were added comes before them (J5)."""
    await store.add(QUEUE, [[NewJob("late", b"1"), NewJob("delayed", b"1", delay_ms=1000)]])
    clock.advance(2)
    passing = await store.join(QUEUE, "v", [GroupJoin("e", ephemeral=True)], LEASE_MS)
    await store.leave(passing, ["e"])
    expected = await add_many(store)
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE_MS)
    assert await claim_all(store, epoch) == ["urgent", "late", "delayed", *expected[1:]]


async def test_whoever_claims_meanwhile_finishes_it(store: SqliteStore, transactions: Transactions) -> None:
    """The worker that began may die half-way; who comes next gets everything all the same."""
    expected = await add_many(store)

    def die() -> None:
        raise RuntimeError("dead")

    once(die, transactions)
    with pytest.raises(RuntimeError, match="dead"):
        await store.join(QUEUE, "w", [GroupJoin("g")], LEASE_MS)
    stats = await store.stats(QUEUE)
    assert (stats.unclaimed, stats.pending) == (MANY + 1 - BATCH, BATCH)
    answer = await store.exchange(Epoch(QUEUE, 1), "g", 1, (), 2)
    assert [claim.job_id for claim in answer.claims] == expected[:2]
    assert (await store.stats(QUEUE)).unclaimed == 0


async def test_other_groups_come_after_the_handing_over(
    store: SqliteStore, transactions: Transactions
) -> None:
    """A group that joins meanwhile gets them only where it starts from the earliest (G3)."""
    expected = await add_many(store)
    joined: list[Epoch] = []

    def join_elsewhere() -> None:
        def verb(tx: Transaction) -> None:
            groups = [GroupJoin("now"), GroupJoin("earliest", start_from="earliest")]
            joined.append(membership.join(tx, QUEUE, "x", groups, LEASE_MS))

        transactions.elsewhere(verb)

    once(join_elsewhere, transactions)
    epoch = await store.join(QUEUE, "w", [GroupJoin("g")], LEASE_MS)
    (other,) = joined
    assert await claim_all(store, epoch) == expected
    assert await claim_all(store, other, "now") == []
    found = await claim_all(store, other, "earliest")
    assert sorted(found) == sorted(expected)
    assert [job_id for job_id in found if job_id != "urgent"] == expected[1:]


async def test_first_durable_group_from_the_earliest(store: SqliteStore) -> None:
    """It gets what an ephemeral group has not finished, and what was unclaimed, each once (G2, G3)."""
    unclaimed = await add_many(store)
    passing = await store.join(QUEUE, "v", [GroupJoin("e", ephemeral=True)], LEASE_MS)
    seen = [f"seen {number}" for number in range(MANY)]
    await store.add(QUEUE, [[NewJob(job_id, b"1") for job_id in seen]])
    joins = [
        GroupJoin("g", start_from="earliest"),
        GroupJoin("f", ephemeral=True, start_from="earliest"),
    ]
    epoch = await store.join(QUEUE, "w", joins, LEASE_MS)
    found = await claim_all(store, epoch)
    assert len(found) == 2 * MANY + 1
    assert [job_id for job_id in found if job_id not in set(seen)] == unclaimed
    assert [job_id for job_id in found if job_id in set(seen)] == seen
    assert await claim_all(store, epoch, "f") == seen
    assert await claim_all(store, passing, "e") == seen


async def test_ephemeral_group_that_becomes_durable(store: SqliteStore, clock: TravellingClock) -> None:
    """What was unclaimed beside it became ready later than what it has (J5)."""
    await store.join(QUEUE, "v", [GroupJoin("e", ephemeral=True)], LEASE_MS)
    await store.add(QUEUE, [[NewJob("first", b"1")]])
    for _ in range(4):
        clock.advance(10)
        await store.register(QUEUE)
        await store.set_paused(QUEUE, False)
    expected = await add_many(store)
    assert (await store.stats(QUEUE)).unclaimed == MANY + 1
    await store.join(QUEUE, "w", [GroupJoin("e", ephemeral=True)], LEASE_MS)
    await store.add(QUEUE, [[NewJob("second", b"1")]])
    epoch = await store.join(QUEUE, "x", [GroupJoin("e")], LEASE_MS)
    await store.add(QUEUE, [[NewJob("third", b"1")]])
    assert await claim_all(store, epoch, "e") == ["urgent", "first", "second", *expected[1:], "third"]


async def test_schedule_does_not_pile_up_while_jobs_are_handed_over(
    store: SqliteStore, clock: TravellingClock, transactions: Transactions
) -> None:
    """An unclaimed job of a schedule counts for the groups that are about to get it (R5)."""
    await add_many(store)
    spec = NewSchedule("s", b"1", "d", "t", clock(), 1, None, "UTC", 0, "coalesce", True, "hold")
    stored = await store.put_schedule(QUEUE, spec)
    assert stored.next_at is not None
    at = stored.next_at
    await store.fire(QUEUE, [Firing("s", stored.revision, at, at + 1000, (at,))])

    def fire(tx: Transaction) -> None:
        scheduling.fire(tx, QUEUE, [Firing("s", stored.revision, at + 1000, at + 2000, (at + 1000,))])

    once(lambda: transactions.elsewhere(fire), transactions)
    await store.join(QUEUE, "w", [GroupJoin("g")], LEASE_MS)
    assert [job.id for job in await store.jobs(QUEUE, after=0, limit=10_000) if job.id.startswith("s:")] == [
        f"s:{at}"
    ]


async def test_cancelling_while_jobs_are_handed_over(store: SqliteStore, transactions: Transactions) -> None:
    """The delivery to each group that has joined is counted (L12)."""
    await add_many(store)
    results: list[CancelResult] = []

    def cancel(tx: Transaction) -> None:
        results.append(repair.cancel(tx, QUEUE, str(MANY - 1)))

    once(lambda: transactions.elsewhere(cancel), transactions)
    await store.join(QUEUE, "w", [GroupJoin("g1"), GroupJoin("g2")], LEASE_MS)
    assert results == [CancelResult(2, 0)]
