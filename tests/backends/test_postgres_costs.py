"""What a call costs on PostgreSQL, counted in blocks, which unlike time are the same on every machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import asyncpg
import pytest

from checkmate_queue.backends.postgres.statements import call
from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import GroupJoin, NewJob
from checkmate_queue.testing.clock import TravellingClock

if TYPE_CHECKING:
    from typing import Any

    from tests.servers.postgres import PostgresStorage

pytest_plugins = ["tests.servers.postgres"]

HOUR = 3_600_000
FEW, MANY = 1000, 20_000
NOTHING = (None,) * 7


async def blocks(connection: asyncpg.Connection[asyncpg.Record], query: str, *arguments: Any) -> int:
    """How many blocks a call touches once its plans are made; what it does is undone."""
    plan: dict[str, Any] = {}
    for _ in range(2):
        transaction = connection.transaction()
        await transaction.start()
        try:
            text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *arguments)
        finally:
            await transaction.rollback()
        plan = json.loads(text)[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


async def fill(store: PostgresStore, first: int, last: int) -> None:
    """Ready jobs, and as many that wait for their delay."""
    for start in range(first, last, 1000):
        numbers = range(start, start + 1000)
        await store.add("q", [[NewJob(f"ready {number}", b"{}") for number in numbers]])
        await store.add("q", [[NewJob(f"later {number}", b"{}", delay_ms=HOUR) for number in numbers]])


@pytest.mark.parametrize("analyzed", [False, True], ids=["fresh", "analyzed"])
async def test_cost_does_not_grow_with_the_backlog(postgres_storage: PostgresStorage, analyzed: bool) -> None:
    """J5: claiming, settling, adding and ticking touch as much at twenty times the backlog."""
    store = await postgres_storage.connect()
    await store.open()
    await store.register("q")
    epoch = await store.join("q", "w", [GroupJoin("g")], HOUR)
    costs = []
    try:
        await fill(store, 0, FEW)
        for n, backlog in ((1, FEW), (2, MANY)):
            if backlog > FEW:
                await fill(store, FEW, MANY)
            claims = (await store.exchange(epoch, "g", n, [], 10)).claims
            keys = [claim.key for claim in claims]
            costs.append(await _costs(postgres_storage, epoch.number, n + 1, keys, analyzed))
    finally:
        await store.close()
    few, many = costs
    assert all(many[name] < few[name] * 1.5 + 20 for name in few), (few, many)


ROWS = """
INSERT INTO "{schema}".inbox (
    queue_id, at, jobs, bytes, ids, data, metadata, priorities, delays, expiries, drops, tokens
)
SELECT
    q.id, 0, 1, 2, ARRAY['job ' || n], ARRAY['{{}}'::bytea], ARRAY[''::bytea], ARRAY[0], ARRAY[0::bigint],
    ARRAY[NULL::bigint], ARRAY[false], ARRAY['']
FROM "{schema}".queue q, generate_series($1::integer, $2::integer) n
"""


async def test_cost_of_taking_in_does_not_grow_with_what_waits(postgres_storage: PostgresStorage) -> None:
    """J5: a batch of callers' transactions costs as much to take in when much more waits behind it."""
    store = await postgres_storage.connect()
    await store.open()
    await store.register("q")
    await store.join("q", "w", [GroupJoin("g")], HOUR)
    await store.close()
    connection = await asyncpg.connect(postgres_storage.url)
    rows, collect = ROWS.format(schema=postgres_storage.schema), call("collect", 4, postgres_storage.schema)
    try:
        await connection.execute(rows, 1, FEW)
        few = await blocks(connection, collect, "q", None, 1, HOUR)
        await connection.execute(rows, FEW + 1, MANY)
        many = await blocks(connection, collect, "q", None, 1, HOUR)
        await connection.execute("ANALYZE")
        analyzed = await blocks(connection, collect, "q", None, 1, HOUR)
    finally:
        await connection.close()
    assert max(many, analyzed) < few * 1.2, (few, many, analyzed)


async def test_cost_of_statistics_is_bounded_however_many_priorities_there_are(
    postgres_storage: PostgresStorage,
) -> None:
    """L3: a few blocks for each priority, and behind a thousand of them much less for each."""
    clock = TravellingClock()
    store = await postgres_storage.connect(clock)
    await store.open()
    await store.register("q")
    await store.join("q", "w", [GroupJoin("g")], 10 * HOUR)
    connection = await asyncpg.connect(postgres_storage.url)
    query, costs = call("stats", 1, postgres_storage.schema), []
    try:
        await store.add("q", [[NewJob("oldest", b"{}", priority=-MANY)]])
        clock.advance(1)
        for first, last in ((0, 2 * FEW), (2 * FEW, 6 * FEW)):
            for start in range(first, last, FEW):
                jobs = [
                    NewJob(f"job {number}", b"{}", priority=-number) for number in range(start, start + FEW)
                ]
                await store.add("q", [jobs])
            clock.advance(1)
            costs.append(await blocks(connection, query, "q"))
        assert (await store.stats("q")).groups["g"].oldest_pending_seconds == 3
    finally:
        await connection.close()
        await store.close()
    few, many = costs
    assert many < few * 2, costs


async def _costs(
    storage: PostgresStorage, epoch: int, n: int, keys: list[int], analyzed: bool
) -> dict[str, int]:
    exchange, ticking, adding = (
        call(name, arguments, storage.schema)
        for name, arguments in (("exchange", 18), ("tick", 16), ("add", 14))
    )
    head = (None, 1, HOUR, 10, HOUR, epoch)
    tick: tuple[Any, ...] = ("q", None, 1, HOUR, 10, HOUR, HOUR, epoch, [], *NOTHING)
    one = ([1], ["new"], [b"{}"], [b""], [0], [0], [None], [False], [""])
    retries = (["retry"] * 10, keys, [0] * 10, *([[None] * 10] * 4))
    connection = await asyncpg.connect(storage.url)
    try:
        if analyzed:
            await connection.execute("ANALYZE")
        return {
            "exchange": await blocks(connection, exchange, "q", *head, "g", n, 10, keys, *NOTHING),
            "promoting exchange": await blocks(connection, exchange, "q", *head, "g", n, 10, [], *retries),
            "tick": await blocks(connection, ticking, *tick),
            "add": await blocks(connection, adding, "q", None, 1, HOUR, None, *one),
        }
    finally:
        await connection.close()
