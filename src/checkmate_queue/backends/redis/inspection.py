"""The scripts of what people look at. They read only; an unknown queue reads as empty."""

from __future__ import annotations

from functools import partial
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from checkmate_queue.backends.redis.records import (
    names_of_ageless,
    pack_id,
    unpack_failed,
    unpack_job,
    unpack_stats,
    unpack_worker,
)
from checkmate_queue.core.model import GroupRecord, QueueStats
from checkmate_queue.core.validation import entry_number
from checkmate_queue.store import BATCH, FencedError, UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from checkmate_queue.backends.redis.connection import Argument, Connection
    from checkmate_queue.core.model import FailedRecord, JobRecord, JobState, WorkerRecord


async def queues(connection: Connection) -> list[str]:
    """The registered names."""
    names = await connection.ask("SMEMBERS", connection.keys.queues)
    return sorted(name.decode() for name in names)


async def paused(connection: Connection, queue: str) -> bool:
    """Whether nothing is claimed."""
    key = connection.keys.queue(queue)
    return bool(await connection.ask("HEXISTS", key, "paused"))


async def stats(connection: Connection, queue: str) -> QueueStats:
    """stats.lua, oldest.lua: the numbers of a queue in one step; and the ages that it left out, in more."""
    try:
        values = (await connection.run("stats", queue)).values
        names = names_of_ageless(values)
        ages: list[Any] = []
        while len(ages) < len(names):
            ages += (await connection.run("oldest", queue, *names[len(ages) : len(ages) + BATCH])).values
    except (UnknownQueueError, FencedError):
        return QueueStats()
    return unpack_stats(values, dict(zip(names, ages, strict=True)))


async def groups(connection: Connection, queue: str) -> list[GroupRecord]:
    """groups.lua: registered groups by name."""
    found = [
        GroupRecord(name.decode(), ephemeral == 1, max_stalls, workers, registered_at)
        for name, ephemeral, max_stalls, workers, registered_at in _rows(
            (await connection.run("groups", queue)).values, 5
        )
    ]
    return sorted(found, key=lambda group: group.name)


async def workers(connection: Connection, queue: str) -> list[WorkerRecord]:
    """workers.lua: living epochs."""
    return [unpack_worker(*row) for row in _rows((await connection.run("workers", queue)).values, 6)]


async def failed(
    connection: Connection, queue: str, group: str | None, after: str, limit: int
) -> list[FailedRecord]:
    """failed.lua: failed entries, the newest first."""
    found: list[FailedRecord] = []
    before: Argument = entry_number(after, "")
    while len(found) < limit and before != 0:
        reply = await connection.run("failed", queue, before, limit - len(found), group or "")
        before, *values = reply.values
        found += [unpack_failed(*row) for row in _rows(values, 9)]
    return found


# -- jobs ----------------------------------------------------------------------------------------


async def job(connection: Connection, queue: str, job_id: str) -> JobRecord | None:
    """jobs.lua: the living job of an id."""
    found = await _read_jobs(connection, queue, pack_id(job_id), ())
    return found[0] if found else None


async def jobs(
    connection: Connection, queue: str, state: JobState | None, after: int, limit: int
) -> list[JobRecord]:
    """jobs.lua: living jobs in the order of their keys."""
    found: list[JobRecord] = []
    if limit <= 0:
        return found
    async for keys in _candidates(connection, queue, state, after, limit):
        records = await _read_jobs(connection, queue, "", keys)
        found += [r for r in records if state in (None, r.state) or state in r.groups.values()]
        if len(found) >= limit:
            break
    return found[:limit]


async def _read_jobs(
    connection: Connection, queue: str, job_id: Argument, keys: Sequence[int]
) -> list[JobRecord]:
    reply = await connection.run("jobs", queue, job_id, *keys)
    return [unpack_job(*row) for row in _rows(reply.values, 9)]


async def _candidates(
    connection: Connection, queue: str, state: JobState | None, after: int, limit: int
) -> AsyncIterator[list[int]]:
    """Keys in order, in batches: all of that state above `after`, and others.

    Jobs have no index by key, since every one of them would pay for it. Where they lie close, keys are tried
    one after the other; where that takes longer, all there are get read, which then is not much more.
    """
    size = min(BATCH, max(100, limit))
    if state in (None, "pending"):
        last, stored = await _extent(connection, queue)
        end = min(last, after + max(stored, BATCH))
        for start in range(after + 1, end + 1, size):
            yield list(range(start, min(start + size, end + 1)))
        if end == last:
            return
        after = end
    while keys := nsmallest(BATCH, await _keys_of(connection, queue, state, after)):
        for start in range(0, len(keys), size):
            yield keys[start : start + size]
        after = keys[-1]


async def _extent(connection: Connection, queue: str) -> tuple[int, int]:
    """The last key that was given out, and how many jobs there are."""
    keys = connection.keys
    last = await connection.ask("HGET", keys.queue(queue), "jobs")
    stored = await connection.ask("HLEN", keys.part(queue, "jobs"))
    return int(last or 0), int(stored)


async def _keys_of(connection: Connection, queue: str, state: JobState | None, after: int) -> set[int]:
    """All keys above `after` among which those of jobs of that state are."""
    match state:
        case "processing":
            found = await _held(connection, queue)
        case "unclaimed":
            found = await _listed(connection, connection.keys.part(queue, "unclaimed"))
        case "delayed" | "retrying":
            due = connection.keys.part(queue, "due")
            members = await _scanned(
                connection, lambda client, cursor: client.zscan(due, cursor, count=BATCH)
            )
            found = {int(member.partition(b":")[0]) for member, _ in members}
        case _:
            key = connection.keys.part(queue, "jobs")
            fields = await _scanned(connection, lambda client, cursor: client.hscan(key, cursor, count=BATCH))
            found = {int(field) for field in fields}
    return {key for key in found if key > after}


async def _held(connection: Connection, queue: str) -> set[int]:
    found: set[int] = set()
    for epoch in set((await connection.run("held", queue, "")).values):
        found.update(int(key) for key in (await connection.run("held", queue, epoch)).values)
    return found


async def _listed(connection: Connection, key: str) -> set[int]:
    found: set[int] = set()
    start = 0
    while page := await connection.ask("LRANGE", key, start, start + BATCH - 1):
        found.update(int(number) for number in page)
        start += len(page)
    return found


async def _scanned(connection: Connection, scan: Callable[..., Awaitable[Any]]) -> list[Any]:
    found: list[Any] = []
    cursor = 0
    while True:
        answer: tuple[int, Any] = await connection.patiently(partial(scan, cursor=cursor))
        cursor, page = answer
        found += page
        if not cursor:
            return found


def _rows(values: Sequence[Any], width: int) -> list[tuple[Any, ...]]:
    fields = iter(values)
    return list(zip(*[fields] * width, strict=True))
