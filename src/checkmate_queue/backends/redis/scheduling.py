"""The scripts of recurring jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.redis.records import pack_schedule, unpack_schedule
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.redis.connection import Argument, Connection
    from checkmate_queue.core.model import Firing, NewSchedule, Schedule


async def put_schedule(connection: Connection, queue: str, spec: NewSchedule) -> Schedule:
    """put_schedule.lua: create or replace a schedule."""
    reply = await connection.run("put_schedule", queue, *pack_schedule(spec))
    return unpack_schedule(reply.values[0])


async def drop_schedule(connection: Connection, queue: str, schedule_id: str) -> bool:
    """drop_schedule.lua: remove a schedule."""
    return bool((await connection.run("drop_schedule", queue, schedule_id)).values[0])


async def schedules(
    connection: Connection, queue: str, ids: Sequence[str] | None, after: str, limit: int
) -> list[Schedule]:
    """schedules.lua: read schedules by name, or a page of them."""
    found: list[Schedule] = []
    if ids is None:
        while len(found) < limit:
            size = min(BATCH, limit - len(found))
            page = (await connection.run("schedules", queue, after, size)).values
            found += [unpack_schedule(values) for values in page]
            if len(page) < size:
                break
            after = found[-1].spec.id
        return found
    names = sorted(set(ids))
    for start in range(0, max(1, len(names)), BATCH):
        page = (await connection.run("schedules", queue, "", "", *names[start : start + BATCH])).values
        found += [unpack_schedule(values) for values in page]
    return found


async def fire(connection: Connection, queue: str, firings: Sequence[Firing]) -> list[bool]:
    """fire.lua: advance schedules and make their jobs. Each firing is atomic; many take several steps."""
    fired: list[bool] = []
    while len(fired) < len(firings):
        step = _first_step(firings[len(fired) :])
        arguments: list[Argument] = [len(step)]
        for firing in step:
            next_at = "" if firing.next_at is None else firing.next_at
            arguments += (firing.schedule_id, firing.revision, firing.expected_at, next_at)
            arguments += (len(firing.due), *firing.due)
        reply = await connection.run("fire", queue, *arguments)
        fired += [mark == ord("1") for mark in reply.values[0]]
    return fired


def _first_step(firings: Sequence[Firing]) -> Sequence[Firing]:
    size = 0
    for amount, firing in enumerate(firings):
        size += 1 + len(firing.due)
        if amount and size > BATCH:
            return firings[:amount]
    return firings
