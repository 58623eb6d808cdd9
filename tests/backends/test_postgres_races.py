"""Races on PostgreSQL: one transaction is held open at each step while another runs against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import (
    Added,
    Done,
    Epoch,
    Firing,
    GroupJoin,
    NewJob,
    NewSchedule,
    RetryLater,
)
from checkmate_queue.store import FencedError
from tests.backends.postgres_gate import COMMIT, Gate, gate, outcome
from tests.backends.postgres_lenders import asyncpg_connection
from tests.backends.postgres_rush import Report, run_rush

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

LEASE = 30_000


@pytest.fixture
async def g(postgres_storage: PostgresStorage) -> AsyncIterator[Gate]:
    """The gate of one test; its storage's books are looked at in the end."""
    async with gate(postgres_storage) as found:
        yield found


def jobs(*ids: str) -> list[list[NewJob]]:
    """One unit of jobs."""
    return [[NewJob(job_id, b"{}") for job_id in ids]]


async def claim(store: PostgresStore, epoch: Epoch, group: str, n: int = 1) -> dict[str, int]:
    """Claim all that is ready: keys by job id."""
    return {c.job_id: c.key for c in (await store.exchange(epoch, group, n, [], 100)).claims}


class TestLastTwoGroups:
    """(a) The last two groups of a job settle at once: the count of open deliveries decides."""

    @pytest.mark.parametrize("step", ["delivery", "share", "member", COMMIT])
    async def test_job_ends_once_and_its_id_is_free(self, g: Gate, step: str) -> None:
        """J7: whoever is second ends the job, wherever the first one stands."""
        one = await g.free.join("q", "w1", [GroupJoin("g1")], LEASE)
        two = await g.free.join("q", "w2", [GroupJoin("g2")], LEASE)
        await g.free.add("q", jobs("a", "b"))
        mine, others = await claim(g.free, one, "g1"), await claim(g.free, two, "g2")
        await g.shut(step)
        first, second = await g.overlap(
            g.held.exchange(one, "g1", 2, [Done(mine["a"]), Done(mine["b"])], 0),
            g.free.exchange(two, "g2", 2, [Done(others["b"]), Done(others["a"])], 0),
        )
        assert (first.refused, second.refused) == ([], [])
        assert await g.rows("SELECT key FROM job UNION ALL SELECT key FROM share") == []
        assert await g.rows("SELECT sum(completed) FROM member") == [(4,)]
        assert await g.free.add("q", jobs("a")) == [[Added("a", True)]]

    async def test_first_one_dies_before_it_commits(self, g: Gate) -> None:
        """J7, G7: what a killed connection did is undone, and the store repeats it: the job ends once."""
        one = await g.free.join("q", "w1", [GroupJoin("g1")], LEASE)
        two = await g.free.join("q", "w2", [GroupJoin("g2")], LEASE)
        await g.free.add("q", jobs("a"))
        mine, others = await claim(g.free, one, "g1"), await claim(g.free, two, "g2")
        await g.shut(COMMIT)
        first = asyncio.create_task(g.held.exchange(one, "g1", 2, [Done(mine["a"])], 0))
        await g.held_up(first)
        second = asyncio.create_task(g.free.exchange(two, "g2", 2, [Done(others["a"])], 0))
        await g.kill()
        assert (await second).refused == []
        await g.open()
        assert (await first).refused == []
        assert await g.rows("SELECT key FROM job") == []
        assert await g.rows("SELECT sum(completed) FROM member") == [(2,)]

    async def test_claims_never_wait_for_claims(self, g: Gate) -> None:
        """G1: workers of one group pass over what another one is claiming."""
        one = await g.free.join("q", "w1", [GroupJoin("g")], LEASE)
        two = await g.free.join("q", "w2", [GroupJoin("g")], LEASE)
        await g.free.add("q", jobs("a", "b", "c"))
        await g.shut(COMMIT)
        first, second = await g.overlap(
            g.held.exchange(one, "g", 1, [], 2), g.free.exchange(two, "g", 1, [], 2)
        )
        assert not g.waited
        assert [c.job_id for c in first.claims] == ["a", "b"]
        assert [c.job_id for c in second.claims] == ["c"]


class TestAddAgainstJoin:
    """(b) Jobs that are added while their first group registers are delivered to it, once."""

    @pytest.mark.parametrize("step", ["job", "delivery", "counter", COMMIT])
    async def test_add_stands_when_the_group_comes(self, g: Gate, step: str) -> None:
        """G2: the group gets what was added before it could be seen."""
        await g.shut(step)
        _, epoch = await g.overlap(
            g.held.add("q", jobs("a", "b")), g.free.join("q", "w", [GroupJoin("g")], LEASE)
        )
        assert list(await claim(g.free, epoch, "g")) == ["a", "b"]
        assert await g.rows("SELECT key FROM delivery WHERE state = 2") == []

    @pytest.mark.parametrize("step", ["epoch", "consumer_group", "member", COMMIT])
    async def test_join_stands_when_jobs_come(self, g: Gate, step: str) -> None:
        """G1: the jobs are fanned out to the group that is about to be there."""
        await g.shut(step)
        epoch, _ = await g.overlap(
            g.held.join("q", "w", [GroupJoin("g")], LEASE), g.free.add("q", jobs("a", "b"))
        )
        assert list(await claim(g.free, epoch, "g")) == ["a", "b"]
        assert await g.rows("SELECT key FROM delivery WHERE state = 2") == []

    @pytest.mark.parametrize("step", ["job", "delivery", "counter", COMMIT])
    async def test_late_group_misses_nothing(self, g: Gate, step: str) -> None:
        """G3: a group that starts from the earliest gets what is added while it registers."""
        await g.free.join("q", "w1", [GroupJoin("old")], LEASE)
        await g.free.add("q", jobs("a"))
        await g.shut(step)
        late = [GroupJoin("late", start_from="earliest")]
        _, epoch = await g.overlap(g.held.add("q", jobs("b")), g.free.join("q", "w2", late, LEASE))
        assert list(await claim(g.free, epoch, "late")) == ["a", "b"]

    @pytest.mark.parametrize("step", ["job", "delivery", "counter", COMMIT])
    async def test_group_goes_while_jobs_come(self, g: Gate, step: str) -> None:
        """G4: nothing is left behind for a group that is gone."""
        epoch = await g.free.join("q", "w", [GroupJoin("g", ephemeral=True)], LEASE)
        await g.shut(step)
        await g.overlap(g.held.add("q", jobs("a")), g.free.leave(epoch, ["g"]))
        assert await g.rows("SELECT key FROM job UNION ALL SELECT key FROM delivery") == []

    @pytest.mark.parametrize("step", ["job", "delivery", "counter", COMMIT])
    async def test_two_callers_make_one_job(self, g: Gate, step: str) -> None:
        """J7: of two callers with the same ids, in any order, each id is created by one."""
        epoch = await g.free.join("q", "w", [GroupJoin("g")], LEASE)
        await g.shut(step)
        answers = await g.overlap(g.held.add("q", jobs("a", "b")), g.free.add("q", jobs("b", "a")))
        created = sorted(added.id for (unit,) in answers for added in unit if added.created)
        assert created == ["a", "b"]
        assert sorted(await claim(g.free, epoch, "g")) == ["a", "b"]

    async def test_add_meets_the_end_of_the_job(self, g: Gate) -> None:
        """J7: an id that is being freed is waited for, and then free."""
        epoch = await g.free.join("q", "w", [GroupJoin("g")], LEASE)
        await g.free.add("q", jobs("a"))
        mine = await claim(g.free, epoch, "g")
        await g.shut(COMMIT)
        _, answer = await g.overlap(
            g.held.exchange(epoch, "g", 2, [Done(mine["a"])], 0), g.free.add("q", jobs("a"))
        )
        assert g.waited
        assert answer == [[Added("a", True)]]


class TestTakingIn:
    """Jobs of a caller's transaction are taken in by one, while others look for them."""

    @pytest.mark.parametrize("step", ["inbox", "job", "delivery", COMMIT])
    async def test_claim_waits_for_who_takes_in(self, g: Gate, postgres_url: str, step: str) -> None:
        """J5: a claim does not start before what was committed before it."""
        epoch = await g.free.join("q", "w", [GroupJoin("g")], LEASE)
        await g.free.add("q", jobs("low"))
        async with asyncpg_connection(postgres_url) as loan:
            await g.free.add_within(loan.connection, "q", [NewJob("high", b"{}", priority=1)])
            await loan.commit()
        await g.shut(step)
        _, exchange = await g.overlap(g.held.add("q", jobs("new")), g.free.exchange(epoch, "g", 1, [], 1))
        assert g.waited
        assert [claim.job_id for claim in exchange.claims] == ["high"]

    @pytest.mark.parametrize("step", ["inbox", "job", "delivery", COMMIT])
    async def test_who_takes_in_dies(self, g: Gate, postgres_url: str, step: str) -> None:
        """G7: what was committed is taken in by the next one."""
        epoch = await g.free.join("q", "w", [GroupJoin("g")], LEASE)
        async with asyncpg_connection(postgres_url) as loan:
            await g.free.add_within(loan.connection, "q", [NewJob("a", b"{}")])
            await loan.commit()
        await g.shut(step)
        going = asyncio.create_task(g.held.add("q", jobs("b")))
        await g.held_up(going)
        await g.kill()
        assert list(await claim(g.free, epoch, "g")) == ["a"]
        await g.open()
        assert await going == [[Added("b", True)]]


Verb = Callable[[PostgresStore, "Prepared"], Awaitable[Any]]


class Prepared:
    """A queue on which every writing verb has something to write."""

    def __init__(self, epoch: Epoch, key: int, firing: Firing) -> None:
        self.epoch = epoch
        self.key = key
        self.firing = firing

    @classmethod
    async def on(cls, g: Gate) -> Prepared:
        """Make it."""
        epoch = await g.free.join("q", "w", [GroupJoin("g")], LEASE)
        schedule = await g.free.put_schedule("q", spec("old"))
        await g.free.add("q", jobs("a"))
        keys = await claim(g.free, epoch, "g")
        await g.free.add("q", [[NewJob("later", b"{}", delay_ms=1000)]])
        g.clock.advance(1)
        due = g.clock()
        return cls(epoch, keys["a"], Firing("old", schedule.revision, schedule.anchor, due + 9000, (due,)))


def spec(name: str) -> NewSchedule:
    """A schedule."""
    return NewSchedule(name, b"{}", "definition", "timing", 1_800_000_001_000, 30.0)


VERBS: dict[str, Verb] = {
    "add": lambda store, p: store.add("q", jobs("new")),
    "join": lambda store, p: store.join("q", "w2", [GroupJoin("g2")], LEASE),
    "leave": lambda store, p: store.leave(p.epoch, ["g"]),
    "exchange": lambda store, p: store.exchange(p.epoch, "g", 2, [RetryLater(p.key, 5000)], 1),
    "heartbeat": lambda store, p: store.heartbeat(p.epoch, b"report"),
    "tick": lambda store, p: store.tick(p.epoch),
    "put_schedule": lambda store, p: store.put_schedule("q", spec("new")),
    "fire": lambda store, p: store.fire("q", [p.firing]),
}


class TestWriterAgainstFence:
    """(c) A fence waits for writers under way, and no writer slips through behind it."""

    @pytest.mark.parametrize("verb", VERBS)
    async def test_fence_waits_for_the_writer(self, g: Gate, verb: str) -> None:
        """B3: when `fence` returns, what the writer did is in the store; the next one is refused."""
        prepared = await Prepared.on(g)
        before = await g.everything()
        await g.shut(COMMIT)
        written, fenced = await g.overlap(_call(g.held, verb, prepared), g.free.fence("q", "elsewhere"))
        assert g.waited
        assert not isinstance(written, Exception), written
        assert fenced is None
        assert await g.everything() != before
        refusal = await outcome(VERBS[verb](g.held, prepared))
        assert isinstance(refusal, FencedError)
        assert refusal.successor == "elsewhere"

    @pytest.mark.parametrize("verb", VERBS)
    async def test_writer_waits_for_the_fence(self, g: Gate, verb: str) -> None:
        """B3: a writer that meets a fence on its way is refused, and has changed nothing."""
        prepared = await Prepared.on(g)
        await g.shut("queue")
        before = {**await g.everything(), "queue": []}
        _, refusal = await g.overlap(g.held.fence("q", "elsewhere"), _call(g.free, verb, prepared))
        assert g.waited
        assert isinstance(refusal, FencedError)
        assert {**await g.everything(), "queue": []} == before

    async def test_fence_of_the_registry_waits_for_a_new_queue(self, g: Gate) -> None:
        """B3: a queue that is being registered is known when the registry is fenced."""
        await g.shut(COMMIT)
        answers = await g.overlap(g.held.register("new"), g.free.fence(None, "elsewhere"))
        assert g.waited
        assert answers == [None, None]
        assert await g.rows("SELECT name FROM queue ORDER BY name") == [("new",), ("q",)]
        assert isinstance(await outcome(g.free.register("newer")), FencedError)

    async def test_new_queue_waits_for_the_fence_of_the_registry(self, g: Gate) -> None:
        """B3: no new name slips through."""
        await g.shut("meta")
        _, refusal = await g.overlap(g.held.fence(None, "elsewhere"), g.free.register("new"))
        assert g.waited
        assert isinstance(refusal, FencedError)
        assert await g.rows("SELECT name FROM queue") == [("q",)]


async def _call(store: PostgresStore, verb: str, prepared: Prepared) -> Any:
    return await VERBS[verb](store, prepared)


async def test_processes_share_the_work(postgres_storage: PostgresStorage) -> None:
    """J7, G1, G7: of what three processes add under the same ids, each group completes each job once."""
    await share_the_work(postgres_storage.url, postgres_storage.schema)


async def share_the_work(url: str, schema: str) -> None:
    """Three processes add the same ids and consume them."""
    store = PostgresStore(url, schema=schema)
    await store.open()
    await store.register("q")
    await store.join("q", "first", [GroupJoin("g1"), GroupJoin("g2")], LEASE)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        reports: list[Report] = await asyncio.gather(
            *(loop.run_in_executor(pool, run_rush, url, schema, seed) for seed in range(3))
        )
    await store.close()
    created = sum(report.created for report in reports)
    assert created >= 400
    for group in ("g1", "g2"):
        keys = [key for report in reports for key in report.completed[group]]
        assert len(keys) == len(set(keys)) == created
    assert all(report.completed["g1"] for report in reports)
