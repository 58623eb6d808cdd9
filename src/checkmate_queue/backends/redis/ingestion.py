"""The script that takes jobs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.redis.records import pack_id, pack_payload
from checkmate_queue.core.model import Added, QueueFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.redis.connection import Argument, Connection
    from checkmate_queue.core.model import NewJob

_PLAIN = (0, 0, None, "hold", "")
_CREATED = {ord("1"): True, ord("0"): False, ord("2"): True}


async def add(
    connection: Connection, queue: str, units: Sequence[Sequence[NewJob]]
) -> list[list[Added] | QueueFull]:
    """add.lua: store units of jobs."""
    limit = connection.limits.max_queue_size
    arguments: list[Argument] = ["" if limit is None else limit, len(units)]
    for unit in units:
        arguments.append(len(unit))
        for job in unit:
            arguments += (pack_id(job.id), _pack_options(job), pack_payload(job.data, job.metadata))
    reply = await connection.run("add", queue, *arguments)
    is_left, *answers = reply.values
    if is_left:
        await connection.run("add", queue, "", 0)
    return [_answer(unit, marks, limit) for unit, marks in zip(units, answers, strict=True)]


def _pack_options(job: NewJob) -> str:
    if (job.priority, job.delay_ms, job.expires_ms, job.unclaimed, job.token) == _PLAIN:
        return ""
    expires = "" if job.expires_ms is None else job.expires_ms
    drop = int(job.unclaimed == "drop")
    return f"{job.priority},{job.delay_ms},{expires},{drop},{job.token}"


def _answer(unit: Sequence[NewJob], marks: bytes, limit: int | None) -> list[Added] | QueueFull:
    if limit is not None and marks == b"full":
        return QueueFull(limit)
    return [Added(job.id, _CREATED[mark]) for job, mark in zip(unit, marks, strict=True)]
