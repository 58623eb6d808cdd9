"""Enqueueing within a transaction on PostgreSQL: its commit is the moment that counts (J5, J7, G1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from checkmate_queue import Enqueue, Job, JobEnqueued, QueueManager
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.errors import JobExistsError
from checkmate_queue.core.model import Added, Done, GroupJoin, NewJob, QueueFull, StoreLimits
from checkmate_queue.testing.clock import START
from checkmate_queue.testing.waiting import wait_until
from tests.backends.postgres_desk import LEASE, Desk, at_desk, claims, ids, jobs
from tests.backends.postgres_lenders import LENDERS, asyncpg_connection

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

LIMIT = 5


@pytest.fixture
async def desk(postgres_storage: PostgresStorage) -> AsyncIterator[Desk]:
    """The desk of one test."""
    async with at_desk(postgres_storage) as found:
        yield found


@pytest.fixture
async def store(desk: Desk) -> PostgresStore:
    """Its store."""
    return await desk.open()


# -- whoever's connection it is ----------------------------------------------------------------------


@pytest.mark.parametrize("driver", LENDERS)
async def test_the_job_exists_if_and_only_if_the_transaction_commits(
    postgres_storage: PostgresStorage, driver: str
) -> None:
    """SPEC 1: it shares the fate of the business data, whatever the driver."""
    ran: list[Job[int]] = []
    table = f'"{postgres_storage.schema}".orders'
    database = await asyncpg.connect(postgres_storage.url)
    async with QueueManager(postgres_storage.manager_url) as manager:
        await database.execute(f"CREATE TABLE {table} (id integer)")
        queue = manager.get_queue("q", int)
        await queue.consume(ran.append, consumer_group="g")
        for order, kept in ((1, False), (2, True)):
            async with LENDERS[driver](postgres_storage.url) as loan:
                await loan.execute(f"INSERT INTO {table} VALUES ({order})")
                job_id = await queue.enqueue(order, job_id=f"order:{order}", connection=loan.connection)
                assert (job_id, job_id.created) == (f"order:{order}", None)
                await (loan.commit() if kept else loan.roll_back())
        await wait_until(lambda: len(ran) == 1, description="the job of the commit ran")
        assert (await queue.get_stats()).delayed == 0
    assert [job.id for job in ran] == ["order:2"]
    assert await database.fetchval(f"SELECT array_agg(id) FROM {table}") == [2]
    await database.close()


@pytest.mark.parametrize("driver", LENDERS)
async def test_options_travel_with_the_job(postgres_storage: PostgresStorage, driver: str) -> None:
    """J2, J4: data, priority, metadata and expiry arrive as with every other enqueue, many at once too."""
    ran: list[Job[dict[str, str]]] = []
    async with (
        QueueManager(postgres_storage.manager_url) as manager,
        LENDERS[driver](postgres_storage.url) as loan,
    ):
        queue = manager.get_queue("q", dict[str, str])
        items = [
            Enqueue({"text": "plain"}),
            Enqueue({"text": "ünïcode %s $1 {}"}, priority=7, metadata={"trace": "täg"}),
            Enqueue({"text": "later"}, start_delay=timedelta(hours=1), expires_in=7200, job_id="later"),
        ]
        made = await queue.enqueue_many(items, priority=-1, connection=loan.connection)
        assert [job_id.created for job_id in made] == [None] * 3
        await loan.commit()
        await queue.consume(ran.append, consumer_group="g", concurrency=1)
        await wait_until(lambda: len(ran) == 2, description="both jobs ran")
        assert [job.id for job in ran] == [made[1], made[0]]
        assert [job.data["text"] for job in ran] == ["ünïcode %s $1 {}", "plain"]
        assert [job.priority for job in ran] == [7, -1]
        assert [dict(job.metadata) for job in ran] == [{"trace": "täg"}, {}]
        later = await queue.get_job("later")
        assert later is not None
        assert (later.state, later.priority) == ("delayed", -1)


@pytest.mark.parametrize("driver", LENDERS)
async def test_a_savepoint_takes_its_jobs_with_it(
    desk: Desk, store: PostgresStore, driver: str, postgres_url: str
) -> None:
    """SPEC 1: what is rolled back to a savepoint never was; the rest of the transaction counts."""
    async with LENDERS[driver](postgres_url) as loan:
        await store.add_within(loan.connection, "q", jobs("before"))
        with pytest.raises(KeyError):
            async with loan.nested():
                await store.add_within(loan.connection, "q", jobs("within"))
                raise KeyError
        await store.add_within(loan.connection, "q", jobs("after"))
        await loan.commit()
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    assert await ids(store, epoch) == ["before", "after"]


async def test_no_event_tells_of_what_is_not_decided(postgres_storage: PostgresStorage) -> None:
    """SPEC 1: nobody knows yet whether there will be a job."""
    told: list[JobEnqueued] = []
    async with (
        QueueManager(postgres_storage.manager_url) as manager,
        asyncpg_connection(postgres_storage.url) as loan,
    ):
        manager.on(JobEnqueued, told.append)
        queue = manager.get_queue("q")
        await queue.enqueue(1, connection=loan.connection)
        await loan.commit()
        await queue.enqueue(2, job_id="b")
    assert [event.job_id for event in told] == ["b"]


# -- what the commit decides -------------------------------------------------------------------------


async def test_commits_make_the_order(desk: Desk, store: PostgresStore) -> None:
    """J5: not the calls; and what commits later is not passed over, though it was written before."""
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    early, late = await desk.begin(), await desk.begin()
    await store.add_within(early.connection, "q", jobs("early"))
    await store.add_within(late.connection, "q", jobs("late 1", "late 2"))
    await late.commit()
    assert await ids(store, epoch) == ["late 1", "late 2"]
    await store.add("q", [jobs("plain")])
    await early.commit()
    assert await ids(store, epoch, n=2) == ["plain", "early"]


async def test_what_was_committed_comes_before_what_is_added_then(desk: Desk, store: PostgresStore) -> None:
    """J5, J7: for every later enqueue, of either kind, the committed job is there."""
    loan, other = await desk.begin(), await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    await loan.commit()
    assert await store.add("q", [jobs("b", "a")]) == [[Added("b", True), Added("a", False)]]
    await store.add_within(other.connection, "q", jobs("c", "a"))
    await other.commit()
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    assert await ids(store, epoch) == ["a", "b", "c"]


async def test_priority_goes_before_the_commit(desk: Desk, store: PostgresStore) -> None:
    """J4, J5: a claim sees what was committed before it, and takes the highest first."""
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    await store.add("q", [jobs("low")])
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", [NewJob("high", b"{}", priority=1)])
    await loan.commit()
    assert await ids(store, epoch) == ["high", "low"]


async def test_duplicates_are_dropped_after_the_commit(desk: Desk, store: PostgresStore) -> None:
    """J7: of what lives, of each other, and of themselves; an id that is free again makes a job."""
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    await store.add("q", [jobs("lives", "ends")])
    loan, other = await desk.begin(), await desk.begin()
    await store.add_within(loan.connection, "q", jobs("lives", "ends", "new", "new"))
    await store.add_within(other.connection, "q", jobs("new", "other"))
    held = {claim.job_id: claim.key for claim in await claims(store, epoch)}
    await store.exchange(epoch, "g", 2, [Done(held["ends"])], 0)
    await loan.commit()
    await other.commit()
    assert await ids(store, epoch, n=3) == ["ends", "new", "other"]
    assert (await store.stats("q")).pending == 0


async def test_the_groups_of_the_commit_get_the_job(desk: Desk, store: PostgresStore) -> None:
    """G1: one that joined before it, though after the call; not one that joined after it."""
    loan = await desk.begin()
    first = await store.join("q", "w1", [GroupJoin("first")], LEASE)
    await store.add_within(loan.connection, "q", jobs("a"))
    second = await store.join("q", "w2", [GroupJoin("second")], LEASE)
    await loan.commit()
    third = await store.join("q", "w3", [GroupJoin("third")], LEASE)
    assert await ids(store, first, "first") == ["a"]
    assert await ids(store, second, "second") == ["a"]
    assert await ids(store, third, "third") == []


async def test_a_group_that_left_before_the_commit_gets_nothing(desk: Desk, store: PostgresStore) -> None:
    """G1, G4: and what was committed before it left ends with it."""
    loan, late = await desk.begin(), await desk.begin()
    epoch = await store.join("q", "w", [GroupJoin("gone", ephemeral=True), GroupJoin("g")], LEASE)
    await store.add_within(loan.connection, "q", jobs("before"))
    await store.add_within(late.connection, "q", jobs("after"))
    await loan.commit()
    await store.leave(epoch, ["gone"])
    await late.commit()
    assert await ids(store, epoch) == ["before", "after"]
    assert (await store.stats("q")).expired == 1


async def test_without_a_group_it_waits_for_the_first(desk: Desk, store: PostgresStore) -> None:
    """G2: and counts as unclaimed once it is taken in; an announcement is dropped."""
    loan = await desk.begin()
    unheard = NewJob("unheard", b"{}", unclaimed="drop")
    await store.add_within(loan.connection, "q", [*jobs("a"), unheard, *jobs("b")])
    await loan.commit()
    await store.add("q", [jobs("c")])
    stats = await store.stats("q")
    assert (stats.unclaimed, stats.expired, stats.delayed) == (3, 1, 0)
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    assert await ids(store, epoch) == ["a", "b", "c"]


async def test_an_id_is_free_when_its_announcement_went_unheard(desk: Desk, store: PostgresStore) -> None:
    """G2, J7: for whoever takes it in himself, too."""
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", [NewJob("a", b"{}", unclaimed="drop")])
    await loan.commit()
    assert await store.add("q", [jobs("a")]) == [[Added("a", True)]]
    stats = await store.stats("q")
    assert (stats.unclaimed, stats.expired) == (1, 1)


async def test_spans_count_from_the_call(desk: Desk, store: PostgresStore) -> None:
    """J6, J9: a long transaction neither delays a job further, nor keeps old news fresh."""
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    loan = await desk.begin()
    news = NewJob("news", b"{}", expires_ms=10_000)
    await store.add_within(
        loan.connection,
        "q",
        [NewJob("soon", b"{}", delay_ms=5000), NewJob("later", b"{}", delay_ms=30_000), news],
    )
    desk.clock.advance(10)
    await store.heartbeat(epoch)
    await loan.commit()
    (soon,) = await claims(store, epoch)
    assert (soon.job_id, soon.enqueued_at) == ("soon", START)
    assert (await store.stats("q")).expired == 1
    desk.clock.advance(19.999)
    assert await ids(store, epoch, n=2) == []
    desk.clock.advance(0.001)
    assert await ids(store, epoch, n=3) == ["later"]


async def test_many_jobs_are_taken_in_by_batches_and_in_order(desk: Desk, store: PostgresStore) -> None:
    """J5: a claim goes on only when all that was committed before it has its place, as does a join."""
    names = [f"job {number}" for number in range(3500)]
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs(*names[:2500]))
    await loan.commit()
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    assert await ids(store, epoch) == names[:2500]
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs(*names[2500:]))
    urgent = NewJob("urgent", b"{}", priority=1)
    await store.add_within(loan.connection, "q", [NewJob("wide", bytes(5 << 20)), *jobs("last"), urgent])
    await loan.commit()
    assert await ids(store, epoch, n=2) == ["urgent", *names[2500:], "wide", "last"]
    loan = await desk.begin()
    wide = [NewJob(f"wide {number}", bytes(5 << 20)) for number in range(3)]
    await store.add_within(loan.connection, "q", [*wide, urgent._replace(id="more urgent")])
    await loan.commit()
    assert await ids(store, epoch, n=3) == ["more urgent", "wide 0", "wide 1", "wide 2"]


async def test_a_full_queue_refuses_at_the_call_and_never_after(desk: Desk) -> None:
    """J8: what counts is what can be seen then; no commit is lost, and a duplicate is no reason to refuse."""
    store = await desk.open(StoreLimits(max_queue_size=LIMIT))
    loan, other = await desk.begin(), await desk.begin()
    await store.add_within(loan.connection, "q", jobs("1", "2", "3"))
    await store.add_within(other.connection, "q", jobs("4", "5", "6"))
    await loan.commit()
    assert await store.add_within(other.connection, "q", jobs("7", "8", "9")) == QueueFull(LIMIT)
    assert await store.add_within(other.connection, "q", jobs("1", "2", "3")) is None
    await other.commit()
    assert await store.add("q", [jobs("10")]) == [QueueFull(LIMIT)]
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    assert await ids(store, epoch) == ["1", "2", "3", "4", "5", "6"]


# -- until somebody takes them in --------------------------------------------------------------------


async def test_readers_see_it_as_delayed_until_it_is_taken_in(desk: Desk, store: PostgresStore) -> None:
    """L3: from the commit on it is counted, listed and found, though reading changes nothing."""
    await store.add("q", [jobs("plain")])
    loan = await desk.begin()
    fresh = NewJob("fresh", b"[1]", priority=3, metadata=b'{"k":"v"}', expires_ms=5000)
    await store.add_within(loan.connection, "q", [fresh, NewJob("slow", b"{}", delay_ms=9000)])
    assert (await store.stats("q")).delayed == 0
    assert await store.job("q", "fresh") is None
    await loan.commit()
    for _ in range(2):
        stats = await store.stats("q")
        assert (stats.unclaimed, stats.delayed) == (1, 2)
    listed = await store.jobs("q")
    assert [(job.id, job.state) for job in listed] == [
        ("plain", "unclaimed"),
        ("fresh", "delayed"),
        ("slow", "delayed"),
    ]
    assert await store.jobs("q", "delayed") == listed[1:]
    assert await store.jobs("q", "pending") == []
    assert await store.jobs("q", after=listed[0].key, limit=1) == listed[1:2]
    assert await store.jobs("q", after=listed[1].key) == listed[2:]
    assert await store.job("q", "fresh") == listed[1]
    job = listed[1]
    assert (job.data, job.priority, job.metadata) == (b"[1]", 3, b'{"k":"v"}')
    assert (job.enqueued_at, job.due_at, job.expires_at) == (START, START, START + 5000)
    assert listed[2].due_at == START + 9000
    desk.clock.advance(5)
    assert await store.job("q", "fresh") is None


async def test_it_can_be_cancelled_and_stands_in_the_way(desk: Desk, store: PostgresStore) -> None:
    """L12, F4: verbs that name a job by its id find it."""
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a", "b"))
    await loan.commit()
    assert (await store.cancel("q", "a")).removed == 1
    with pytest.raises(JobExistsError):
        await store.retry_failed("q", "b")
    assert [job.id for job in await store.jobs("q")] == ["b"]


@pytest.mark.parametrize("verb", ["tick", "drop_group"])
async def test_other_verbs_take_it_in(desk: Desk, store: PostgresStore, verb: str) -> None:
    """G1: a busy queue has it ready soon, and a group that is dropped takes what was its own with it."""
    gone = await store.join("q", "w", [GroupJoin("gone")], LEASE)
    epoch = await store.join("q", "w2", [GroupJoin("g")], LEASE)
    await store.leave(gone, ["gone"])
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    await loan.commit()
    if verb == "tick":
        assert (await store.tick(epoch)).readied == 2
    else:
        assert await store.drop_group("q", "gone")
        assert (await store.stats("q")).expired == 1
    assert (await store.stats("q")).groups["g"].pending == 1


async def test_the_commit_wakes_sleepers(desk: Desk, store: PostgresStore) -> None:
    """SPEC 1: they are told by the commit, and by no call before it."""
    news: list[str] = []
    store.listen(news.append)
    database = await asyncpg.connect(desk.storage.url)
    channel = await database.fetchval(f'SELECT "{desk.storage.schema}".channel()')
    listening = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = $1)"

    async def listens() -> bool:
        return bool(await database.fetchval(listening, f'LISTEN "{channel}"'))

    await wait_until(listens, description="the store listens")
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    await database.execute("SELECT pg_notify($1, 'meanwhile')", channel)
    await wait_until(lambda: bool(news), description="what was told meanwhile is heard")
    assert news == ["meanwhile"]
    await loan.commit()
    await wait_until(lambda: len(news) > 1, description="the commit is heard")
    assert news == ["meanwhile", "q"]
    await database.close()
