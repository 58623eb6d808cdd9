"""Transactions of callers that stay open on PostgreSQL: nobody waits for them but the fence (B3)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from checkmate_queue import BackendSwitchError, Job, QueueManager
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Added, Epoch, Firing, GroupJoin, NewSchedule
from checkmate_queue.store import FencedError
from checkmate_queue.testing.clock import START
from checkmate_queue.testing.waiting import wait_until
from tests.backends.postgres_desk import LEASE, Desk, at_desk, ids, jobs
from tests.backends.postgres_lenders import asyncpg_connection

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

CALLERS = 8
SPEC = NewSchedule("s", b"{}", "definition", "timing", START + 1000, 30.0)
ISOLATIONS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
CALLER = """
import asyncio, sys
import asyncpg
from checkmate_queue import QueueManager

async def main():
    connection = await asyncpg.connect(sys.argv[1])
    async with QueueManager(sys.argv[2]) as manager, connection.transaction():
        await manager.get_queue("q").enqueue(1, job_id="a", connection=connection)
        print(connection.get_server_pid(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def desk(postgres_storage: PostgresStorage) -> AsyncIterator[Desk]:
    """The desk of one test."""
    async with at_desk(postgres_storage) as found:
        yield found


@pytest.fixture
async def store(desk: Desk) -> PostgresStore:
    """Its store."""
    return await desk.open()


Verb = Callable[[Desk, PostgresStore, Epoch], Awaitable[object]]
VERBS: dict[str, Verb] = {
    "register": lambda desk, store, epoch: store.register("new"),
    "add": lambda desk, store, epoch: store.add("q", [jobs("a"), jobs("b")]),
    "add_within": lambda desk, store, epoch: commit(desk, store, "a", "c"),
    "join": lambda desk, store, epoch: store.join("q", "w2", [GroupJoin("g2", start_from="earliest")], LEASE),
    "leave": lambda desk, store, epoch: store.leave(epoch, ["g"]),
    "exchange": lambda desk, store, epoch: store.exchange(epoch, "g", 1, [], 10),
    "heartbeat": lambda desk, store, epoch: store.heartbeat(epoch),
    "tick": lambda desk, store, epoch: store.tick(epoch),
    "put_schedule": lambda desk, store, epoch: store.put_schedule("q", SPEC),
    "drop_schedule": lambda desk, store, epoch: store.drop_schedule("q", "s"),
    "fire": lambda desk, store, epoch: store.fire("q", [Firing("s", 1, START, START + 1000, (START,))]),
    "cancel": lambda desk, store, epoch: store.cancel("q", "a"),
    "set_paused": lambda desk, store, epoch: store.set_paused("q", True),
    "retry_failed": lambda desk, store, epoch: store.retry_failed("q", "never failed"),
    "discard_failed": lambda desk, store, epoch: store.discard_failed("q"),
    "rename_group": lambda desk, store, epoch: store.rename_group("q", "idle", "named"),
    "drop_group": lambda desk, store, epoch: store.drop_group("q", "named"),
    "stats": lambda desk, store, epoch: store.stats("q"),
    "jobs": lambda desk, store, epoch: store.jobs("q"),
    "fence": lambda desk, store, epoch: store.fence("other", "elsewhere"),
}


async def commit(desk: Desk, store: PostgresStore, *names: str) -> None:
    """Jobs of a transaction that ends at once."""
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs(*names))
    await loan.commit()


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_nobody_waits_for_an_open_transaction(desk: Desk, store: PostgresStore, isolation: str) -> None:
    """SPEC 1: every verb goes on while one is open that has the same ids, as if it were not there."""
    idle = await store.join("q", "w0", [GroupJoin("idle")], LEASE)
    await store.leave(idle, ["idle"])
    await store.register("other")
    loan = await desk.begin()
    await loan.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    await store.add_within(loan.connection, "q", jobs("a", "b", "c", "x"))
    for number, call in enumerate(VERBS.values()):
        epoch = await store.join("q", f"worker {number}", [GroupJoin("g")], LEASE)
        await call(desk, store, epoch)
    await store.set_paused("q", False)
    epoch = await store.join("q", "last", [GroupJoin("last")], LEASE)
    await loan.commit()
    await store.add("q", [jobs("y")])
    assert {"x", "y"} <= set(await ids(store, epoch, "last"))


@pytest.mark.full
async def test_one_left_open_for_30_s_delays_nobody(postgres_storage: PostgresStorage) -> None:
    """SPEC 1: jobs are enqueued, run and joined for meanwhile; then comes the commit, and its job runs."""
    ran: list[int] = []

    def handler(job: Job[int]) -> None:
        ran.append(job.data)

    loop = asyncio.get_running_loop()
    async with (
        QueueManager(postgres_storage.manager_url) as manager,
        asyncpg_connection(postgres_storage.url) as loan,
    ):
        queue = manager.get_queue("q", int)
        await queue.consume(handler, consumer_group="g")
        await queue.enqueue(-1, job_id="-1", connection=loan.connection)
        end = loop.time() + 30
        number = 0
        while loop.time() < end:
            await queue.enqueue(number)
            await wait_until(lambda n=number: n in ran, description="the job ran")
            consumer = await queue.consume(handler, consumer_group=f"group {number}", ephemeral=True)
            await consumer.stop()
            number += 1
        assert ran == list(range(number))
        assert number > 0
        await loan.commit()
        await wait_until(lambda: ran[-1] == -1, description="the job of the transaction ran")


async def test_one_id_from_many_transactions_makes_one_job(desk: Desk, store: PostgresStore) -> None:
    """J7: all of them open at once, committed at once, while others add and claim."""
    epoch = await store.join("q", "w", [GroupJoin("g")], LEASE)
    stores = [await desk.open() for _ in range(CALLERS)]
    loans = [await desk.begin() for _ in range(CALLERS)]
    names = [f"job {number}" for number in range(20)]

    async def enqueue(number: int) -> None:
        mine = names[number:] + names[:number]
        await stores[number].add_within(loans[number].connection, "q", jobs(*mine))

    await asyncio.gather(*map(enqueue, range(CALLERS)))
    _, added, first = await asyncio.gather(
        asyncio.gather(*(loan.commit() for loan in loans)),
        asyncio.gather(*(each.add("q", [jobs(*reversed(names))]) for each in stores)),
        ids(store, epoch),
    )
    assert len(added) == CALLERS
    assert sorted(first + await ids(store, epoch, n=2)) == sorted(names)
    assert (await store.stats("q")).delayed == 0


async def test_a_process_that_dies_before_the_commit_leaves_nothing(
    desk: Desk, store: PostgresStore, postgres_storage: PostgresStorage
) -> None:
    """SPEC 1: no job, and nothing that a fence would wait for."""
    before = await desk.everything()
    caller = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALLER, postgres_storage.url, postgres_storage.manager_url),
        stdout=asyncio.subprocess.PIPE,
    )
    assert caller.stdout is not None
    process = int(await caller.stdout.readline())
    caller.kill()
    await caller.wait()
    database = await desk.connect()

    async def is_gone() -> bool:
        return not await database.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", process
        )

    await wait_until(is_gone, description="the server has noticed")
    after = await desk.everything()
    assert (after["inbox"], after["job"]) == (before["inbox"], before["job"]) == ([], [])
    await store.fence("q", "elsewhere")
    assert (await store.stats("q")).delayed == 0


# -- the fence ---------------------------------------------------------------------------------------


async def test_the_fence_waits_for_the_commit(desk: Desk, store: PostgresStore) -> None:
    """B3: what is committed meanwhile is in the store when it returns, and has its groups."""
    await store.join("q", "w", [GroupJoin("g")], LEASE)
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    fence = asyncio.create_task(store.fence("q", "elsewhere"))
    await wait_until(desk.fence_waits, description="the fence waits")
    assert await store.add("q", [jobs("b")]) == [[Added("b", True)]]
    assert not fence.done()
    await loan.commit()
    await fence
    stats = await store.stats("q")
    assert (stats.delayed, stats.groups["g"].pending) == (0, 2)
    assert (await desk.everything())["inbox"] == []


async def test_the_fence_waits_for_a_rollback(desk: Desk, store: PostgresStore) -> None:
    """B3: whatever the end is."""
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    fence = asyncio.create_task(store.fence("q", "elsewhere"))
    await wait_until(desk.fence_waits, description="the fence waits")
    await loan.roll_back()
    await fence
    assert await store.jobs("q") == []


async def test_the_fence_is_refused_when_its_patience_ends(desk: Desk) -> None:
    """B3: and nothing has changed."""
    store = await desk.open(patience_ms=300)
    loan = await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    before = await desk.everything()
    with pytest.raises(BackendSwitchError, match=r"'q'.* 0\.3 s.*Nothing has changed"):
        await store.fence("q", "elsewhere")
    assert await desk.everything() == before
    await store.add_within(loan.connection, "q", jobs("b"))
    await store.add("q", [jobs("c")])
    await loan.commit()
    assert await store.add("q", [jobs("a")]) == [[Added("a", False)]]
    assert {job.id for job in await store.jobs("q")} == {"a", "b", "c"}


async def test_who_comes_while_the_fence_waits_waits_too(desk: Desk, store: PostgresStore) -> None:
    """B3: unless it has jobs there already; then it is refused, and its transaction goes on."""
    loan, late = await desk.begin(), await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    fence = asyncio.create_task(store.fence("q", "elsewhere"))
    await wait_until(desk.fence_waits, description="the fence waits")
    refused = asyncio.create_task(store.add_within(late.connection, "q", jobs("late")))
    await store.add_within(loan.connection, "q", jobs("b"))
    assert not (refused.done() or fence.done())
    await loan.commit()
    await fence
    with pytest.raises(FencedError) as caught:
        await refused
    assert caught.value.successor == "elsewhere"
    await late.execute("SELECT 1")
    await late.commit()
    assert [job.id for job in await store.jobs("q")] == ["a", "b"]


async def test_who_waited_for_a_fence_that_is_refused_goes_on(desk: Desk, store: PostgresStore) -> None:
    """B3: as if there had been none."""
    hasty = await desk.open(patience_ms=300)
    loan, late = await desk.begin(), await desk.begin()
    await store.add_within(loan.connection, "q", jobs("a"))
    fence = asyncio.create_task(hasty.fence("q", "elsewhere"))
    await wait_until(desk.fence_waits, description="the fence waits")
    await store.add_within(late.connection, "q", jobs("late"))
    await late.commit()
    with pytest.raises(BackendSwitchError):
        await fence
    assert [job.id for job in await store.jobs("q")] == ["late"]


async def test_a_fence_takes_in_all_that_was_committed(desk: Desk, store: PostgresStore) -> None:
    """B3: however much it is, and whoever should have done so."""
    names = [f"job {number}" for number in range(2500)]
    await commit(desk, store, *names)
    await store.fence("q", "elsewhere")
    assert [job.id for job in await store.jobs("q", limit=5000)] == names
    assert (await desk.everything())["inbox"] == []


async def test_a_fenced_queue_refuses_and_the_transaction_goes_on(desk: Desk, store: PostgresStore) -> None:
    """B3: as often as it is tried; and to fence again waits for nobody."""
    await store.fence("q", "elsewhere")
    loan = await desk.begin()
    for _ in range(2):
        with pytest.raises(FencedError):
            await store.add_within(loan.connection, "q", jobs("a"))
        await store.fence("q", "elsewhere else")
    await loan.commit()
    assert await store.jobs("q") == []


async def test_a_savepoint_that_was_rolled_back_holds_no_fence(desk: Desk, store: PostgresStore) -> None:
    """B3: nor does a transaction that has jobs in another queue."""
    await store.register("other")
    loan = await desk.begin()
    await store.add_within(loan.connection, "other", jobs("a"))
    with pytest.raises(KeyError):
        async with loan.nested():
            await store.add_within(loan.connection, "q", jobs("a"))
            raise KeyError
    await store.fence("q", "elsewhere")
    await loan.commit()
    assert [job.id for job in await store.jobs("other")] == ["a"]
