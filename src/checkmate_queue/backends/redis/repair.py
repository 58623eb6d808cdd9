"""The scripts of what people do to jobs and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.redis.connection import Refusal
from checkmate_queue.backends.redis.records import pack_id
from checkmate_queue.core.errors import InvalidArgumentError, JobExistsError
from checkmate_queue.core.model import CancelResult

if TYPE_CHECKING:
    from checkmate_queue.backends.redis.connection import Argument, Connection


async def cancel(connection: Connection, queue: str, job_id: str) -> CancelResult:
    """cancel.lua: remove what waits of a job, signal what runs."""
    removed, signalled = (await connection.run("cancel", queue, pack_id(job_id))).values
    return CancelResult(removed, signalled)


async def set_paused(connection: Connection, queue: str, paused: bool) -> None:
    """set_paused.lua: stop or resume claiming."""
    await connection.run("set_paused", queue, int(paused))


async def retry_failed(connection: Connection, queue: str, job_id: str, group: str | None) -> int:
    """retry_failed.lua: make failed entries ready again."""
    try:
        reply = await connection.run("retry_failed", queue, pack_id(job_id), group or "")
    except Refusal:
        raise JobExistsError(
            f"A job {job_id!r} is still in queue {queue!r}; it can be retried when that one has ended."
        ) from None
    return int(reply.values[0])


async def discard_failed(connection: Connection, queue: str, job_id: str | None, group: str | None) -> int:
    """discard_failed.lua: remove failed entries, of those there are now."""
    removed = 0
    following, last = 1, None
    ids: tuple[Argument, ...] = () if job_id is None else (pack_id(job_id),)
    while following:
        reply = await connection.run(
            "discard_failed", queue, following, "" if last is None else last, group or "", *ids
        )
        amount, following, last = reply.values
        removed += amount
    return removed


async def drop_group(connection: Connection, queue: str, group: str) -> bool:
    """drop_group.lua: remove a group."""
    try:
        reply = await connection.run("drop_group", queue, group)
    except Refusal:
        raise _attended(queue, group) from None
    return bool(reply.values[0])


async def rename_group(connection: Connection, queue: str, old: str, new: str) -> None:
    """rename_group.lua: give a group another name."""
    try:
        await connection.run("rename_group", queue, old, new)
    except Refusal as refusal:
        match refusal.word:
            case b"absent":
                raise InvalidArgumentError(
                    f"Queue {queue!r} has no consumer group {old!r}; nothing to rename."
                ) from None
            case b"taken":
                raise InvalidArgumentError(
                    f"Queue {queue!r} has a consumer group {new!r} already; choose a name that is free."
                ) from None
            case _:
                raise _attended(queue, old) from None


def _attended(queue: str, group: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"Consumer group {group!r} of queue {queue!r} has live consumers; stop them first."
    )
